"""Importance sampling on an asymmetric mixture of three Gaussians against the closed form of its tilted law.

Velocity and look-ahead are nonlinear here. The error of the time step is not known in closed form; K, G and N are such
that it is about 0.3 standard errors (measured with ten times the groups and more particles), so that the threshold of 4
is one on the statistics.
"""

import pytest

from fmtt.flow.schedules import EarlyRamp, PowerRamp, RegularisedEpsilon, ZeroEpsilon
from fmtt.models.analytic import GaussianMixture
from tests import support
from tests.support import Setup, last, worst

FINE = Setup(model="mixture", steps=160, groups=64, particles=24)
CHEAP = [
    (weights, look_ahead) for weights in ("kernel", "material") for look_ahead in ("none", "denoiser", "diffusion2")
]


def found(setup: Setup) -> float:
    """Largest deviation in standard errors."""
    return worst(last(setup.loop()).population, setup.truth())


@pytest.mark.slow
@pytest.mark.parametrize("reward", ["linear", "quadratic"])
@pytest.mark.parametrize(("weights", "look_ahead"), CHEAP)
def test_look_aheads_that_are_not_transported(weights: str, look_ahead: str, reward: str) -> None:
    seed = 2 * CHEAP.index((weights, look_ahead)) + (reward == "linear")
    assert found(FINE.but(weights=weights, look_ahead=look_ahead, reward=reward, seed=seed)) < 4


@pytest.mark.slow
@pytest.mark.parametrize(
    ("weights", "reward"), [("jarzynski", "linear"), ("jarzynski", "quadratic"), ("kernel", "quadratic")]
)
def test_flow_map(weights: str, reward: str) -> None:
    assert found(FINE.but(weights=weights, reward=reward, look_ahead="flowmap1", seed=20)) < 4


@pytest.mark.slow
@pytest.mark.parametrize("look_ahead", ["flowmap4", "exact"])
def test_flow_map_in_jumps_and_by_solving(look_ahead: str, monkeypatch: pytest.MonkeyPatch) -> None:
    one_step = GaussianMixture(*support.MIXTURE_ARGUMENTS, steps=1)  # so that four jumps cost what one did
    monkeypatch.setitem(support.MODELS, "mixture", one_step)
    assert found(FINE.but(weights="jarzynski", look_ahead=look_ahead, seed=21)) < 4


def test_material_weights_mend_a_coarse_flow_map(monkeypatch: pytest.MonkeyPatch) -> None:
    """One Euler-like jump is no flow map; short weights are then wrong and material weights are right."""
    coarse = GaussianMixture(*support.MIXTURE_ARGUMENTS)
    coarse.flow_map = lambda x, s, t: x + (t - s)[:, None] * coarse.velocity(x, s)
    monkeypatch.setitem(support.MODELS, "mixture", coarse)
    setup = FINE.but(look_ahead="flowmap1", seed=22)
    assert found(setup.but(weights="material")) < 4
    wrong = setup.but(weights="jarzynski", steps=40, particles=256)
    assert worst(last(wrong.loop()).population, wrong.truth()) > 6


@pytest.mark.slow
@pytest.mark.parametrize("epsilon", [ZeroEpsilon(), RegularisedEpsilon()], ids=str)
@pytest.mark.parametrize("weights", ["kernel", "material"])
def test_noise_schedules(weights: str, epsilon) -> None:
    assert found(FINE.but(weights=weights, look_ahead="denoiser", epsilon=epsilon, seed=23)) < 4


@pytest.mark.slow
@pytest.mark.parametrize("ramp", [PowerRamp(2.0), EarlyRamp(0.5)], ids=str)
@pytest.mark.parametrize("weights", ["kernel", "material"])
def test_ramps(weights: str, ramp) -> None:
    assert found(FINE.but(weights=weights, look_ahead="denoiser", ramp=ramp, seed=24)) < 4
