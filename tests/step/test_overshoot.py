"""The overshoot of a kick is the share by which Euler-Maruyama inflates the variance of a Gaussian."""

import math

import pytest
import torch
from torch import Tensor

from fmtt.flow import noise
from fmtt.flow.schedules import ConstantEpsilon
from fmtt.step.dynamics import Draws
from fmtt.step.midpoint import Midpoint
from fmtt.step.transport import FlowMapTransport
from tests.step.one_step import look, step
from tests.support import GAUSSIAN, Setup, ended

SETUP = Setup(reward="quadratic", weights="jarzynski", transport=FlowMapTransport, epsilon=ConstantEpsilon(0.8))


def test_overshoot_predicts_the_variance_that_a_kick_adds() -> None:
    """In each coordinate: h / 2v under the tilted law of time t, whose variance is v; one kick makes it v + h^2 / v."""
    t, then = 0.4, 0.45
    dynamics = SETUP.loop().dynamics
    h = 0.8 * (then - t)
    sigma = torch.sqrt((1 - t) ** 2 + t**2 * GAUSSIAN.std**2)
    stretch = GAUSSIAN.std / sigma  # of the flow map to t = 1
    precision, slope, _ = dynamics.tilt.reward.quadratic_form(2)
    bend = t * precision * stretch**2
    v = 1 / (sigma**-2 + bend)
    landed = GAUSSIAN.mean * (1 - stretch * t)
    mean = v * (t * GAUSSIAN.mean / sigma**2 + t * stretch * (slope - precision * landed))
    x = (mean + v.sqrt() * noise.normal((1, 200_000, 2), 0, "x").double()).float()
    stepped = step(dynamics, x, look(dynamics, x, t, then), (t, then), Draws(noise.normal(x.shape, 1, "xi")))
    overshoot = stepped.increment.overshoot().mean().item()
    assert overshoot == pytest.approx((h / (2 * v)).mean().item(), rel=0.02)
    assert overshoot > 0.03


def overshoot(setup: Setup) -> Tensor:
    """The sum over the steps of a run, ``(G,)``."""
    return ended(setup.loop())[1].overshoot


def test_it_falls_with_the_step_and_is_zero_without_noise() -> None:
    coarse, fine = (overshoot(SETUP.but(steps=steps)).mean() / steps for steps in (20, 80))
    assert coarse / fine == pytest.approx(4, rel=0.25)
    assert overshoot(SETUP.but(epsilon=ConstantEpsilon(0.0))).abs().max() == 0
    assert math.isnan(overshoot(SETUP.but(weights="kernel", transport=Midpoint)).mean())


def test_kernel_weights_measure_that_of_their_base_chain() -> None:
    """Whatever the tilt: only its samples are tilted."""
    weak, strong = (overshoot(SETUP.but(weights="kernel", scale=scale, steps=40)).mean() for scale in (0.01, 1.0))
    assert strong == pytest.approx(weak, rel=0.2)
    assert overshoot(SETUP.but(scale=1.0, steps=40)).mean() > 1.25 * weak
