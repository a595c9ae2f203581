"""FMTT without noise, pushed harder than its law asks, is a maximiser."""

from __future__ import annotations

from functools import partial
from itertools import pairwise

import pytest
import torch

import fmtt
from fmtt.api import Run, finish
from fmtt.flow.schedules import ConstantChi, ZeroEpsilon
from fmtt.methods import presets as modes
from fmtt.step.guidance import TiltGradient
from tests.methods.states import states
from tests.support import GAUSSIAN, REWARDS, standardised

QUADRATIC = REWARDS["quadratic"]  # largest, and zero, at its centre
GROUPS, PARTICLES = 8, 16


def tilted(mode=modes.tilted_ode, scale: float = 1.0, steps: int = 400) -> Run:
    return fmtt.assemble(
        GAUSSIAN, QUADRATIC, mode=mode, epsilon=ZeroEpsilon(), chi=ConstantChi(), scale=scale, steps=steps,
        groups=GROUPS, particles=PARTICLES, chunk=100_000,
    )  # fmt: skip


def test_more_strength_comes_nearer_to_the_maximum() -> None:
    rewards = [
        tilted(partial(modes.tilted_ode, gradient=TiltGradient(strength))).loop.last().population.tilt.reward
        for strength in (1.0, 4.0, 16.0, 64.0)
    ]
    for weak, strong in pairwise(rewards):
        assert standardised((strong - weak).mean(1)) > 6
    assert rewards[-1].min() > -1e-3
    assert rewards[0].min() < -0.1


@pytest.mark.parametrize("strength", [0.5, 8.0])
def test_strength_is_a_factor_of_the_scale(strength: float) -> None:
    """The path of a strengthened gradient is that of the gradient at a larger scale; a change of sign is not made."""
    strengthened = tilted(partial(modes.tilted_ode, gradient=TiltGradient(strength)), steps=20)
    scaled = tilted(partial(modes.tilted_ode, gradient=TiltGradient()), scale=strength, steps=20)
    for one, other in zip(states(strengthened.loop), states(scaled.loop), strict=True):
        assert torch.allclose(one.population.x, other.population.x, atol=1e-5)


def test_the_best_of_a_group_is_returned() -> None:
    run = tilted(steps=10)
    result = finish(run, run.loop.last())
    assert torch.equal(result.rewards.gather(1, result.selected[:, None])[:, 0], result.rewards.max(1).values)
    assert result.rewards.std(1).min() > 0


def test_step_costs_one_look_ahead_with_its_gradient_and_one_velocity() -> None:
    run = tilted(steps=10)
    run.loop.last()
    particles = GROUPS * PARTICLES
    assert run.meter.forward == 20 * particles
    assert run.meter.backward == 9 * particles  # at t = 0 no tilt is in force yet
    assert run.meter.reward == 11 * particles
