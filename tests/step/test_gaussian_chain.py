"""The discretised sampler on Gaussian data, in closed form, becomes the tilted law as the steps get short.

No sampling here: these are statements about the formulas of move and weight. That the sampler follows the formulas is
tested in ``test_weights_gaussian``. The error of the step is of first order: with four times the steps it is a quarter,
and Richardson's extrapolation of the two is the tilted law.
"""

import pytest
import torch
from torch import Tensor

from fmtt.flow.schedules import (
    ConstantEpsilon,
    EarlyRamp,
    PowerEpsilon,
    PowerGrid,
    PowerRamp,
    RegularisedEpsilon,
    ZeroEpsilon,
)
from fmtt.step.transport import Euler, FlowMapTransport
from tests.gaussian_chain import reference
from tests.support import Setup

TRANSPORTS = pytest.mark.parametrize("transport", [Euler, FlowMapTransport])
EPSILONS = (ZeroEpsilon(), ConstantEpsilon(1.0), PowerEpsilon(), RegularisedEpsilon())
UNBIASED = [("jarzynski", "flowmap1")] + [
    (weights, look_ahead)
    for weights in ("material", "kernel")
    for look_ahead in ("none", "denoiser", "diffusion2", "flowmap1")
]


def errors(setup: Setup, steps: int) -> Tensor:
    """Errors of mean, second moment and log Z, ``(5,)``."""
    pairs = zip(reference(setup.but(steps=steps)), setup.truth(), strict=True)
    return torch.cat([(found - true).reshape(-1) for found, true in pairs])


def is_of_first_order(setup: Setup) -> bool:
    """Whether the error, extrapolated to no step at all, is small, and small against that of 200 steps (if any)."""
    coarse, fine = errors(setup, 200), errors(setup, 800)
    extrapolated = (4 * fine - coarse).abs().max() / 3
    return bool(extrapolated < min(2e-4, max(coarse.abs().max() / 10, 1e-6)))


@pytest.mark.parametrize("epsilon", EPSILONS, ids=lambda epsilon: type(epsilon).__name__)
@pytest.mark.parametrize(("weights", "look_ahead"), UNBIASED)
@pytest.mark.parametrize("reward", ["linear", "quadratic"])
@TRANSPORTS
def test_every_noise_schedule_reaches_the_tilted_law(transport, reward, weights, look_ahead, epsilon) -> None:
    assert is_of_first_order(
        Setup(reward=reward, weights=weights, look_ahead=look_ahead, epsilon=epsilon, transport=transport)
    )


@pytest.mark.parametrize(("weights", "look_ahead"), UNBIASED)
@pytest.mark.parametrize("reward", ["linear", "quadratic"])
def test_without_noise_transport_by_the_flow_map_has_no_error_of_the_step(reward, weights, look_ahead) -> None:
    setup = Setup(reward=reward, weights=weights, look_ahead=look_ahead, epsilon=ZeroEpsilon())
    assert errors(setup.but(transport=FlowMapTransport), 3).abs().max() < 1e-6
    assert errors(setup, 3).abs().max() > 1e-2


@pytest.mark.parametrize("ramp", [PowerRamp(2.0), EarlyRamp(0.5)], ids=str)
@pytest.mark.parametrize("grid", [PowerGrid(), PowerGrid(2.0)], ids=str)
@pytest.mark.parametrize(("weights", "look_ahead"), UNBIASED)
def test_every_ramp_and_grid_reaches_the_tilted_law(weights: str, look_ahead: str, grid, ramp) -> None:
    assert is_of_first_order(Setup(weights=weights, look_ahead=look_ahead, ramp=ramp, grid=grid))


@pytest.mark.parametrize("epsilon", EPSILONS, ids=lambda epsilon: type(epsilon).__name__)
@pytest.mark.parametrize("look_ahead", ["none", "denoiser", "diffusion2"])
def test_short_weights_are_biased_without_transport(look_ahead: str, epsilon) -> None:
    setup = Setup(weights="jarzynski", look_ahead=look_ahead, epsilon=epsilon)
    assert errors(setup, 800).abs().max() > 0.06
    assert errors(setup, 3200).abs().max() > 0.06


@pytest.mark.parametrize("epsilon", EPSILONS, ids=lambda epsilon: type(epsilon).__name__)
def test_law_without_tilt_does_not_depend_on_epsilon(epsilon) -> None:
    assert is_of_first_order(Setup(scale=0.0, weights="kernel", epsilon=epsilon))
