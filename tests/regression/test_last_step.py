"""The last step was neither weighted nor resampled, so r(x_1) - V_{K-1} was never applied.

The weights at the end have the increment of the last step in them, and the particle that is returned is drawn by them.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from fmtt.flow.noise import Noise
from fmtt.methods.loop import State
from fmtt.smc.population import Population
from fmtt.smc.resampling import RESAMPLERS
from fmtt.smc.selection import ResampleOnEss
from tests.gaussian_chain import reference
from tests.support import Setup, worst

SETUP = Setup(weights="kernel", look_ahead="denoiser", steps=6, scale=2.0, seed=21)


def ends() -> tuple[State, Population]:
    """The last state, and its population without the increment of the last step."""
    states = list(SETUP.loop().run())
    (before, _), (after, info) = states[-2:]
    assert torch.equal(info.weighed.log_weights, before.population.log_weights + info.increment)
    return after, replace(after.population, log_weights=before.population.log_weights)


def test_the_last_step_is_weighed() -> None:
    state, without = ends()
    assert state.step == SETUP.steps
    assert worst(state.population, reference(SETUP)) < 4
    assert worst(without, reference(SETUP)) > 6


def test_particles_resampled_by_the_last_weights_are_right_and_by_the_weights_before_are_not() -> None:
    resample = ResampleOnEss(1.0, RESAMPLERS["systematic"])
    noise = Noise(3, tuple(range(SETUP.groups)))
    for population, right in zip((ends()[0].population, ends()[1]), (True, False), strict=True):
        drawn, where = resample(population, 1, 2, noise)
        assert where.all() and not drawn.log_weights.any()
        assert (worst(drawn, reference(SETUP)) < 4) == right
