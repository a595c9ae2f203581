"""log Z started from weights that were not normalised, and was taken over all prompts together.

Without a reward log Z is zero to rounding, and the log Z of a group does not depend on what else is in the batch.
"""

from dataclasses import replace

import pytest
import torch

from fmtt.flow.noise import Noise
from fmtt.flow.schedules import ConstantEpsilon
from tests.support import Setup, last

ALL = [("jarzynski", "flowmap1"), ("material", "denoiser"), ("kernel", "denoiser"), ("kernel", "none")]


@pytest.mark.parametrize(("weights", "look_ahead"), ALL)
@pytest.mark.parametrize("threshold", [0.5, 1.0])
def test_zero_reward_has_log_z_zero(weights: str, look_ahead: str, threshold: float) -> None:
    setup = Setup(weights=weights, look_ahead=look_ahead, epsilon=ConstantEpsilon(), groups=4, particles=50)
    loop = setup.but(ess_threshold=threshold).loop()
    tilt = replace(loop.dynamics.tilt, reward=lambda x: 0 * x.sum(1))
    for zero in (tilt, replace(loop.dynamics.tilt, scale=0.0)):
        population = last(replace(loop, dynamics=replace(loop.dynamics, tilt=zero))).population
        torch.testing.assert_close(population.log_evidence, torch.zeros(4).double(), rtol=0, atol=1e-12)
        torch.testing.assert_close(population.ess, torch.ones(4).double())


@pytest.mark.parametrize(("weights", "look_ahead"), ALL)
def test_group_does_not_depend_on_the_others(weights: str, look_ahead: str) -> None:
    loop = Setup(weights=weights, look_ahead=look_ahead, scale=3.0, groups=4, particles=32).loop()
    together, alone = (last(replace(loop, noise=Noise(0, groups))).population for groups in ((0, 1, 2, 3), (2,)))
    torch.testing.assert_close(together.log_evidence[2:3], alone.log_evidence, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(together.x[2:3], alone.x, rtol=1e-5, atol=1e-5)
    assert together.log_evidence.std() > 1e-3
