"""Laws and tilted laws of mixtures against numerical integrals."""

import pytest
import torch
from torch import Tensor

from fmtt.models.analytic import GaussianMixture, MixtureLaw
from fmtt.rewards.plane import Linear, Quadratic
from tests.support import GAUSSIAN, MIXTURE, REWARDS, standardised

LINE = GaussianMixture(((-1.2,), (0.4,), (2.0,)), (0.3, 0.6, 0.45), (0.5, 0.2, 0.3)).law
LAWS = {1: (LINE, Linear((0.8,)), Quadratic((1.1,), (0.9,))), 2: (MIXTURE.law, *REWARDS.values())}


def points(dimension: int, width: float = 12.0) -> tuple[Tensor, float]:
    """A grid ``(B, d)`` over ``[-width, width]^d`` and the volume of its cells; the tails beyond are below rounding."""
    axis = torch.linspace(-width, width, {1: 4001, 2: 601}[dimension], dtype=torch.float64)
    grid = torch.stack(torch.meshgrid(*[axis] * dimension, indexing="ij"), -1).reshape(-1, dimension)
    return grid, float(axis[1] - axis[0]) ** dimension


@pytest.mark.parametrize("dimension", [1, 2])
def test_density_integrates_to_one(dimension: int) -> None:
    law = LAWS[dimension][0]
    x, cell = points(dimension)
    density = law.log_prob(x).exp()
    assert density.sum() * cell == pytest.approx(1, abs=1e-9)
    torch.testing.assert_close((density @ x) * cell, law.mean, rtol=0, atol=1e-9)
    torch.testing.assert_close((density @ x**2) * cell, law.second_moment, rtol=0, atol=1e-9)


@pytest.mark.parametrize("dimension", [1, 2])
@pytest.mark.parametrize("which", [1, 2], ids=["linear", "quadratic"])
@pytest.mark.parametrize("scale", [1.0, -0.3, 2.5])
def test_tilted_law_against_quadrature(dimension: int, which: int, scale: float) -> None:
    law, reward = LAWS[dimension][0], LAWS[dimension][which]
    precision, slope, constant = reward.quadratic_form(dimension)
    tilted, log_z = law.tilted(scale * precision, scale * slope, scale * constant)
    x, cell = points(dimension)
    density = (law.log_prob(x) + scale * reward(x)).exp() * cell
    assert log_z == pytest.approx(density.sum().log().item(), abs=1e-9)
    torch.testing.assert_close(density @ x / density.sum(), tilted.mean, rtol=0, atol=1e-9)
    torch.testing.assert_close(density @ x**2 / density.sum(), tilted.second_moment, rtol=0, atol=1e-9)
    torch.testing.assert_close(tilted.log_prob(x[::97]), law.log_prob(x[::97]) + scale * reward(x[::97]) - log_z)


def test_quadratic_form_is_the_reward() -> None:
    x, _ = points(2, 3.0)
    for reward in REWARDS.values():
        precision, slope, constant = reward.quadratic_form(2)
        torch.testing.assert_close(-0.5 * x**2 @ precision + x @ slope + constant, reward(x))


def test_tilt_beyond_the_tails_is_refused() -> None:
    law, zero = GAUSSIAN.law, torch.zeros(2, dtype=torch.float64)
    with pytest.raises(ValueError, match="does not exist"):
        law.tilted(-(law.stds[0] ** -2), zero, 0.0)
    assert law.tilted(-0.99 * law.stds[0] ** -2, zero, 0.0)[1].isfinite()


def test_tilts_compose() -> None:
    first, second = (reward.quadratic_form(2) for reward in REWARDS.values())
    once, z1 = MIXTURE.law.tilted(*first)
    twice, z2 = once.tilted(*second)
    together, z = MIXTURE.law.tilted(*(a + b for a, b in zip(first, second, strict=True)))
    assert z1 + z2 == pytest.approx(z.item())
    for one, other in zip(twice, together, strict=True):
        torch.testing.assert_close(one, other)


def test_samples_have_the_moments_of_the_law() -> None:
    law = MIXTURE.law
    x = law.sample(40_000, seed=3)
    for d in range(2):
        assert abs(standardised(x[:, d] - law.mean[d])) < 4
        assert abs(standardised(x[:, d] ** 2 - law.second_moment[d])) < 4
    nearest = torch.cdist(x, law.means).argmin(1)
    single = MixtureLaw(law.means[:1], law.stds[:1], torch.zeros(1, dtype=torch.float64)).sample(100, seed=3)
    assert torch.bincount(nearest, minlength=3).argsort().tolist() == law.log_weights.argsort().tolist()
    assert not torch.equal(single, law.sample(100, seed=4))
