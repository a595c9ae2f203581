"""Weights exponentiated in linear space overflowed near 88 in float32 and 709 in float64.

Adding a constant to the reward changes no sample and shifts log Z by that constant times the scale, to rounding.
"""

from dataclasses import replace

import pytest
import torch

from fmtt.flow.schedules import EarlyRamp, PowerRamp
from tests.support import Setup, last

ALL = [("jarzynski", "flowmap1"), ("material", "denoiser"), ("kernel", "denoiser"), ("kernel", "none")]


@pytest.mark.parametrize("ramp", [PowerRamp(), EarlyRamp(0.5)], ids=str)
@pytest.mark.parametrize("constant", [-1e4, 100.0, 1e4])
@pytest.mark.parametrize(("weights", "look_ahead"), ALL)
def test_constant_shifts_log_z_and_nothing_else(weights: str, look_ahead: str, constant: float, ramp) -> None:
    loop = Setup(weights=weights, look_ahead=look_ahead, ramp=ramp, scale=2.0, groups=4, particles=32).loop()
    tilt = loop.dynamics.tilt
    plain, shifted = (replace(tilt, reward=lambda x, c=c: tilt.reward(x).double() + c) for c in (0.0, constant))
    first, second = (last(replace(loop, dynamics=replace(loop.dynamics, tilt=t))).population for t in (plain, shifted))
    assert torch.equal(second.x, first.x)
    assert torch.equal(second.ancestors, first.ancestors)
    torch.testing.assert_close(second.log_evidence, first.log_evidence + 2 * constant, rtol=1e-12, atol=1e-9)
    assert (first.ancestors != torch.arange(32)).any()


@pytest.mark.parametrize("scale", [1e4, -1e4])
def test_enormous_scale_stays_finite(scale: float) -> None:
    """Weights of a reward of ten thousand; what is left of them is one particle, not NaN."""
    loop = Setup(
        reward="linear", look_ahead="none", weights="kernel", scale=scale, groups=2, particles=16, steps=4
    ).loop()
    population = last(
        replace(loop, dynamics=replace(loop.dynamics, epsilon=type(loop.dynamics.epsilon)(0.0)))
    ).population
    assert population.log_evidence.isfinite().all()
    assert population.x.isfinite().all()
