"""The transport that goes straight to the landing of the look-ahead."""

from __future__ import annotations

from functools import partial
from itertools import pairwise

import pytest
import torch
from torch import Tensor

import fmtt
from fmtt.api import Run
from fmtt.flow.schedules import ConstantChi, ConstantEpsilon, Epsilon, ZeroEpsilon
from fmtt.methods import baselines
from fmtt.methods import presets as modes
from fmtt.methods.composition import Composition
from fmtt.step.guidance import TiltGradient, Window
from fmtt.step.landing import TowardsLanding
from fmtt.step.weights import NoWeights
from tests.methods.states import states
from tests.support import GAUSSIAN, REWARDS

LINEAR = REWARDS["linear"]
STEPS = 5
MODE = Composition(TiltGradient(), NoWeights(), modes.guidance().selection, window=Window(0.0, 0.5))


def run(epsilon: Epsilon, mode: Composition = MODE) -> Run:
    return fmtt.assemble(
        GAUSSIAN, LINEAR, mode=mode, steps=STEPS, epsilon=epsilon, chi=ConstantChi(), transport=TowardsLanding,
        groups=2, particles=6,
    )  # fmt: skip


def jump(x: Tensor, now: float, then: float) -> Tensor:
    flat = x.flatten(0, 1)
    return GAUSSIAN.flow_map(flat, *(torch.full((len(flat),), t) for t in (now, then))).reshape(x.shape)


def test_guided_steps_are_straight_and_the_others_follow_the_flow_map() -> None:
    way = states(run(ZeroEpsilon()).loop)
    for k, (before, after) in enumerate(pairwise(way)):
        x, t, dt = before.population.x, before.t, 1 / STEPS
        if k < 3:  # the window ends at .5
            push = dt * before.population.tilt.gradient
            expected = x + dt * (jump(x, t, 1.0) - x) / (1 - t) + push
        else:
            expected = jump(x, t, after.t)
        torch.testing.assert_close(after.population.x, expected, rtol=1e-5, atol=1e-5)


def test_with_noise_a_step_has_the_score_of_its_start() -> None:
    noisy = run(ConstantEpsilon(0.5)).loop
    (before, after), dt = states(noisy)[1:3], 1 / STEPS
    x, t = before.population.x, before.t
    flat = x.flatten(0, 1)
    velocity = GAUSSIAN.velocity(flat, torch.full((len(flat),), t)).reshape(x.shape)
    score, draw = (t * velocity - x) / (1 - t), noisy.noise.normal((6, 2), 1, "move")
    gradient = before.population.tilt.gradient
    expected = x + dt * (jump(x, t, 1.0) - x) / (1 - t) + dt * (0.5 * score + 1.5 * gradient) + (dt**0.5) * draw
    torch.testing.assert_close(after.population.x, expected, rtol=1e-5, atol=1e-5)


def test_a_guided_step_costs_its_look_ahead_alone() -> None:
    made = run(ZeroEpsilon())
    made.loop.last()
    assert (made.meter.forward, made.meter.backward) == (2 * 6 * STEPS, 2 * 6 * 2)  # beta is 0 in the first step


@pytest.mark.parametrize("mode", [modes.importance, partial(modes.importance, weights="kernel"), baselines.tds])
def test_no_weights_are_right(mode) -> None:
    with pytest.raises(ValueError, match=r"sampler\.transport=landing: does not follow the model"):
        run(ConstantEpsilon(0.5), mode())
