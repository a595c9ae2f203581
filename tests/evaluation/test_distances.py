"""Distances between weighted samples, against values known in closed form."""

import math

import pytest
import torch

from fmtt.evaluation.distances import mmd, quantiles, sliced_w2
from fmtt.evaluation.quadrature import tilted_by_quadrature
from fmtt.evaluation.rejection import tilted_by_rejection
from fmtt.flow import noise
from fmtt.models.analytic import ring_of_gaussians
from fmtt.rewards import HalfPlane, WavyRing


def equal(count: int) -> torch.Tensor:
    return torch.full((count,), 1 / count, dtype=torch.float64)


def test_distance_of_two_points() -> None:
    x, y = torch.zeros(1, 2).double(), torch.tensor([[3.0, 4.0]]).double()
    kernel = (math.exp(-25 / 2) + math.exp(-25 / 8)) / 2
    assert mmd(x, y, equal(1), (1.0, 2.0)) == pytest.approx(math.sqrt(2 - 2 * kernel))
    assert sliced_w2(x, y, equal(1)) == pytest.approx(5 / math.sqrt(2))  # the mean of 25 cos^2 is 25 / 2


def test_weights_are_multiplicities() -> None:
    x = noise.normal((4, 2), 0, "x").double()
    y = noise.normal((30, 2), 0, "y").double()
    repeated = x[[0, 1, 1, 2, 3, 3, 3, 3]]
    weights = torch.tensor([1, 2, 1, 4]) / 8
    assert mmd(x, y, weights) == pytest.approx(mmd(repeated, y, equal(8)))
    assert sliced_w2(x, y, weights) == pytest.approx(sliced_w2(repeated, y, equal(8)))


def test_a_sample_is_at_no_distance_from_itself() -> None:
    x = noise.normal((50, 2), 0, "x").double()
    assert mmd(x, x.flip(0), equal(50)) < 1e-7
    assert sliced_w2(x, x.flip(0), equal(50)) < 1e-12  # matrix products may differ in the last bit


def test_a_shift_is_found() -> None:
    x = noise.normal((500, 2), 0, "x").double()
    shift = torch.tensor([0.3, -0.4]).double()
    assert sliced_w2(x + shift, x, equal(500)) == pytest.approx(0.5 / math.sqrt(2))


def test_quantiles_of_weighted_values() -> None:
    values = torch.tensor([[3.0], [1.0], [2.0]]).double()
    found = quantiles(values, torch.tensor([0.5, 0.25, 0.25]).double(), torch.tensor([0.1, 0.3, 0.6, 0.99]).double())
    assert found.flatten().tolist() == [1, 2, 3, 3]


def test_only_the_plane_is_sliced() -> None:
    with pytest.raises(ValueError, match="needs points of the plane, got 3"):
        sliced_w2(torch.zeros(2, 3), torch.zeros(2, 3), equal(2))


@pytest.mark.parametrize(
    ("law", "reward"),
    [(ring_of_gaussians(8, 4.8, 0.6).law, HalfPlane()), (ring_of_gaussians(24, 1.0, 0.05).law, WavyRing())],
    ids=["half plane", "wavy ring"],
)
def test_rejection_has_the_moments_of_the_tilted_law(law, reward) -> None:
    x = tilted_by_rejection(law, reward, reward.scale, reward.upper, 4000, seed=1)
    exact = tilted_by_quadrature(law, reward, reward.scale)
    assert x.shape == (4000, 2)
    for values, truth in ((x[:, 0], exact.mean[0]), (x[:, 1], exact.mean[1]), (reward(x), exact.reward)):
        assert abs((values.mean() - truth) / (values.std() / 4000**0.5)) < 4


def test_rejection_refuses_a_wrong_bound() -> None:
    law = ring_of_gaussians(8, 4.8, 0.6).law
    with pytest.raises(ValueError, match="above its bound -1"):
        tilted_by_rejection(law, HalfPlane(), 1.0, -1.0, 10, seed=0)
    with pytest.raises(ValueError, match=r"reward\.scale=-1"):
        tilted_by_rejection(law, HalfPlane(), -1.0, 0.0, 10, seed=0)
