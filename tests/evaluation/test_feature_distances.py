"""Distances of features against closed forms, and what covers what by hand."""

import math

import pytest
import torch

from fmtt.evaluation.feature_distances import covered, frechet_distance, kernel_distance, spread
from fmtt.flow import noise

CLOUD = noise.normal((400, 3), 0, "cloud").double()


def test_frechet_distance_of_gaussians() -> None:
    """``|m|^2 + sum (a - b)^2`` for diagonal covariances ``a^2, b^2``, whatever the basis."""
    first, second = noise.normal((2, 50_000, 3), 0, "frechet").double()
    basis, _ = torch.linalg.qr(noise.normal((3, 3), 0, "basis").double())
    a, b, mean = torch.tensor([1.0, 2.0, 0.5]), torch.tensor([1.5, 2.0, 1.0]), torch.tensor([0.3, 0.0, -0.4])
    distance = frechet_distance((first * a) @ basis, (second * b + mean) @ basis)
    assert distance == pytest.approx(0.25 + 0.5**2 + 0.5**2, rel=0.03)
    assert frechet_distance(first, first) == pytest.approx(0, abs=1e-8)


def test_spread_of_normal_points() -> None:
    """Two of them are ``2 sqrt(2 / pi)`` standard deviations apart in one dimension, up to the jackknife's error."""
    one = CLOUD[:, :1]
    distance, error = spread(one)
    by_hand = (one - one.T).abs().sum() / (400 * 399)
    assert distance == pytest.approx(by_hand.item())
    assert abs(distance - 2 / math.sqrt(math.pi)) < 4 * error < 0.3
    assert spread(torch.ones(5, 2)) == (0, 0)


def test_the_jackknife_is_leaving_out_each_sample() -> None:
    few = CLOUD[:7]
    without = torch.tensor([spread(torch.cat([few[:k], few[k + 1 :]]))[0] for k in range(7)], dtype=torch.float64)
    assert spread(few)[1] == pytest.approx(math.sqrt(6 * without.var(correction=0).item()))


def test_what_lies_within_reach_is_covered() -> None:
    line = torch.tensor([[0.0], [1.0], [2.0], [10.0]])  # reaches with one neighbour: 1, 1, 1, 8
    points = torch.tensor([[-0.5], [-1.5], [1.5], [3.5], [17.0], [19.0]])
    assert covered(points, by=line, neighbours=1) == 4 / 6
    assert covered(points[:3], by=line[:3], neighbours=1) == 2 / 3


def test_a_population_that_has_collapsed_covers_nothing() -> None:
    assert covered(CLOUD, by=CLOUD) == 1
    assert covered(CLOUD, by=CLOUD[:1].repeat(400, 1)) == 1 / 400
    assert covered(CLOUD[:1].repeat(400, 1), by=CLOUD) == 1
    assert math.isnan(covered(CLOUD, by=CLOUD[:3], neighbours=3))


def kernel_moments(shift: float, dimension: int = 2) -> float:
    """The squared MMD of N(0, I) and N(shift, I) with the cubic kernel, by the moments of their mean dot products.

    With a = x.y / F: ``E (1 + a)^3 = 1 + 3 E a + 3 E a^2 + E a^3``.
    """

    def mean(u: torch.Tensor, v: torch.Tensor) -> float:
        dot, square = (u @ v).item(), (u @ u + v @ v).item()
        f = dimension
        first, second = dot / f, (dot**2 + square + f) / f**2
        third = (dot**3 + 3 * dot * (square + f + 2)) / f**3
        return 1 + 3 * first + 3 * second + third

    zero, moved = torch.zeros(dimension).double(), torch.full((dimension,), shift).double()
    return mean(zero, zero) + mean(moved, moved) - 2 * mean(zero, moved)


@pytest.mark.parametrize(("shift", "too_large"), [(0.0, math.sqrt(2)), (0.7, 1.0)])
def test_kernel_distance_is_unbiased_and_knows_its_error(shift: float, too_large: float) -> None:
    """The jackknife of a degenerate U-statistic of two samples expects twice its variance."""
    found = torch.tensor(
        [kernel_distance(noise.normal((40, 2), k, "x"), noise.normal((60, 2), k, "y") + shift) for k in range(400)]
    ).double()
    values, errors = found.T
    spread_of_values = values.std()
    assert abs(values.mean() - kernel_moments(shift)) < 4 * spread_of_values / 20
    assert errors.pow(2).mean().sqrt() == pytest.approx(too_large * spread_of_values.item(), rel=0.15)


def test_the_jackknife_of_the_kernel_distance_is_leaving_out_each_sample() -> None:
    x, y = noise.normal((7, 3), "few"), noise.normal((5, 3), "others")
    variance = 0.0
    for which, n in ((0, 7), (1, 5)):
        rest = [torch.arange(n) != k for k in range(n)]
        values = torch.tensor(
            [kernel_distance(*((x[keep], y) if which == 0 else (x, y[keep])))[0] for keep in rest],
            dtype=torch.float64,
        )
        variance += (n - 1) * values.var(correction=0).item()
    assert kernel_distance(x, y)[1] == pytest.approx(math.sqrt(variance), rel=1e-9)
