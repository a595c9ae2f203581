"""The discretised sampler on Gaussian data, in closed form, becomes the tilted law as the steps get short.

No sampling here: these are statements about the formulas of move and weight. That the sampler follows the formulas is
tested in ``test_weights_gaussian``.
"""

import pytest

from fmtt.schedules import ConstantEpsilon, EarlyRamp, LinearEpsilon, PowerGrid, PowerRamp, RegularisedEpsilon, ZeroEpsilon
from tests.analytic.gaussian_chain import reference
from tests.analytic.support import Setup

EPSILONS = (ZeroEpsilon(), ConstantEpsilon(1.0), LinearEpsilon(), RegularisedEpsilon())
UNBIASED = [("jarzynski", "flowmap1")] + [
    (weights, look_ahead) for weights in ("material", "kernel") for look_ahead in ("none", "denoiser", "diffusion2", "flowmap1")
]


def error(setup: Setup) -> float:
    """The largest error in mean, second moment and log Z."""
    return max(float((a - b).abs().max()) for a, b in zip(reference(setup), setup.truth(), strict=True))


@pytest.mark.parametrize("epsilon", EPSILONS, ids=lambda epsilon: type(epsilon).__name__)
@pytest.mark.parametrize(("weights", "look_ahead"), UNBIASED)
@pytest.mark.parametrize("reward", ["linear", "quadratic"])
def test_error_is_of_first_order_in_the_step(reward: str, weights: str, look_ahead: str, epsilon) -> None:
    setup = Setup(reward=reward, weights=weights, look_ahead=look_ahead, epsilon=epsilon)
    coarse, fine = error(setup.but(steps=200)), error(setup.but(steps=800))
    assert fine < 6e-3
    assert coarse / fine == pytest.approx(4, rel=0.1)


@pytest.mark.parametrize("ramp", [PowerRamp(2.0), EarlyRamp(0.5)], ids=str)
@pytest.mark.parametrize("grid", [PowerGrid(), PowerGrid(2.0)], ids=str)
@pytest.mark.parametrize(("weights", "look_ahead"), UNBIASED)
def test_ramp_and_grid_do_not_matter(weights: str, look_ahead: str, ramp, grid) -> None:
    setup = Setup(weights=weights, look_ahead=look_ahead, ramp=ramp, grid=grid)
    assert error(setup.but(steps=800)) < 4e-3
    assert error(setup.but(steps=3200)) < 1e-3


@pytest.mark.parametrize("epsilon", EPSILONS, ids=lambda epsilon: type(epsilon).__name__)
@pytest.mark.parametrize("look_ahead", ["none", "denoiser", "diffusion2"])
def test_short_weights_are_biased_without_transport(look_ahead: str, epsilon) -> None:
    setup = Setup(weights="jarzynski", look_ahead=look_ahead, epsilon=epsilon, steps=800)
    assert error(setup) > 0.06


@pytest.mark.parametrize("epsilon", EPSILONS, ids=lambda epsilon: type(epsilon).__name__)
def test_untilted_law_does_not_depend_on_epsilon(epsilon) -> None:
    setup = Setup(scale=0.0, weights="kernel", epsilon=epsilon)
    coarse, fine = error(setup.but(steps=200)), error(setup.but(steps=800))
    assert fine < 4e-3
    assert coarse / fine == pytest.approx(4, rel=0.1)
