"""Importance sampling on Gaussian data: mean, second moment and log Z of the discretised law in closed form.

The truth is that of ``gaussian_chain`` for the very number of steps of the run, so that the error of the time step does
not blur the comparison; that this truth becomes the tilted law is tested in ``test_gaussian_chain``, and one run here
has steps so short that it can be compared with the tilted law itself.
"""

import pytest

from fmtt.flow.schedules import (
    ConstantEpsilon,
    EarlyRamp,
    PowerEpsilon,
    PowerGrid,
    PowerRamp,
    RegularisedChi,
    RegularisedEpsilon,
    ShiftedGrid,
    ZeroEpsilon,
)
from fmtt.step.transport import Euler, FlowMapTransport
from tests.gaussian_chain import reference
from tests.support import LOOK_AHEADS, TRANSPORTED, Setup, last, worst

LEGAL = [
    (weights, look_ahead)
    for weights in ("jarzynski", "material", "kernel")
    for look_ahead in LOOK_AHEADS
    if weights != "jarzynski" or look_ahead in TRANSPORTED
]


def found(setup: Setup) -> float:
    """Largest deviation in standard errors."""
    return worst(last(setup.loop()).population, reference(setup))


@pytest.mark.parametrize("reward", ["linear", "quadratic"])
@pytest.mark.parametrize(("weights", "look_ahead"), LEGAL)
def test_weights_and_look_aheads(weights: str, look_ahead: str, reward: str) -> None:
    seed = 2 * LEGAL.index((weights, look_ahead)) + (reward == "linear")
    assert found(Setup(weights=weights, look_ahead=look_ahead, reward=reward, seed=seed)) < 4


@pytest.mark.parametrize("transport", [Euler, FlowMapTransport])
@pytest.mark.parametrize(
    ("weights", "look_ahead"), [("jarzynski", "flowmap1"), ("material", "denoiser"), ("kernel", "none")]
)
def test_extra_drift(weights: str, look_ahead: str, transport) -> None:
    setup = Setup(weights=weights, look_ahead=look_ahead, transport=transport, chi=RegularisedChi(), seed=300)
    assert found(setup) < 4


@pytest.mark.parametrize(("weights", "look_ahead"), LEGAL)
def test_transport_by_the_flow_map(weights: str, look_ahead: str) -> None:
    seed = 200 + LEGAL.index((weights, look_ahead))
    assert found(Setup(weights=weights, look_ahead=look_ahead, transport=FlowMapTransport, steps=6, seed=seed)) < 4


@pytest.mark.parametrize(
    "epsilon", [ZeroEpsilon(), ConstantEpsilon(1.0), PowerEpsilon(0.3), RegularisedEpsilon()], ids=str
)
@pytest.mark.parametrize(
    ("weights", "look_ahead"),
    [("jarzynski", "flowmap1"), ("material", "denoiser"), ("kernel", "denoiser"), ("kernel", "none")],
)
def test_noise_schedules(weights: str, look_ahead: str, epsilon) -> None:
    assert found(Setup(weights=weights, look_ahead=look_ahead, epsilon=epsilon, seed=100)) < 4


@pytest.mark.parametrize("ramp", [PowerRamp(2.0), EarlyRamp(0.5)], ids=str)
@pytest.mark.parametrize("grid", [PowerGrid(1.5), ShiftedGrid(-0.8)], ids=str)
@pytest.mark.parametrize(
    ("weights", "look_ahead"), [("jarzynski", "flowmap1"), ("material", "denoiser"), ("kernel", "diffusion2")]
)
def test_ramps_and_grids(weights: str, look_ahead: str, grid, ramp) -> None:
    assert found(Setup(weights=weights, look_ahead=look_ahead, ramp=ramp, grid=grid, seed=101)) < 4


@pytest.mark.parametrize("weights", ["jarzynski", "material", "kernel"])
@pytest.mark.parametrize("scale", [-0.2, 2.5])
def test_scales_of_the_reward(weights: str, scale: float) -> None:
    assert found(Setup(weights=weights, scale=scale, seed=102)) < 4


@pytest.mark.parametrize("threshold", [0.5, 1.0])
@pytest.mark.parametrize("resampler", ["systematic", "stratified", "residual", "multinomial", "ssp"])
def test_resamplers(resampler: str, threshold: float) -> None:
    assert found(Setup(resampler=resampler, ess_threshold=threshold, scale=2.0, seed=103)) < 4


@pytest.mark.slow
@pytest.mark.parametrize("weights", ["jarzynski", "kernel"])
def test_fine_steps_reach_the_tilted_law_itself(weights: str) -> None:
    setup = Setup(weights=weights, steps=240, groups=96, particles=24, seed=104)
    assert worst(last(setup.loop()).population, setup.truth()) < 4
