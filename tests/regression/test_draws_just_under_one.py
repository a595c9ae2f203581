"""Where rounding leaves the cumulative sum below the draw, the search ran off the end."""

import math

import pytest
import torch
from torch import Tensor

from fmtt.flow.noise import uniform
from fmtt.smc.resampling import RESAMPLERS, inverse_cdf

BELOW_ONE = math.nextafter(1.0, 0.0)


def short_weights(n: int) -> Tensor:
    """Weights normalised in float32: in float64 their sum misses one by about 1e-7, on either side."""
    weights = torch.softmax(uniform((8, n), 0, "weights").float() * 3, 1).double()
    assert weights.sum(1).min() < 1 < weights.sum(1).max()
    return weights


@pytest.mark.parametrize("kind", RESAMPLERS)
@pytest.mark.parametrize("n", [50, 1000])
@pytest.mark.parametrize("draw", [0.0, 1e-300, 0.5, BELOW_ONE])
def test_index_is_valid(kind: str, n: int, draw: float) -> None:
    index = RESAMPLERS[kind](short_weights(n), torch.full((8, 2 * n), draw, dtype=torch.float64), n)
    assert (index >= 0).all()
    assert (index < n).all()


@pytest.mark.parametrize("total", [1.0, 0.9999999, 0.5, 1.0000001, 3.0, 1e-300])
def test_last_point_finds_the_last_particle(total: float) -> None:
    weights = torch.full((1, 7), total / 7, dtype=torch.float64)
    points = torch.tensor([[0.0, BELOW_ONE, 1.0]], dtype=torch.float64)
    assert inverse_cdf(weights, points).tolist() == [[0, 6, 6]]


@pytest.mark.parametrize("m", [3, 10, 1_000_003])
def test_strata_rounded_up_to_one_are_valid(m: int) -> None:
    """``(m - 1 + u) / m`` is one in float64 for u just under one and large m."""
    weights = torch.full((1, 5), 0.2, dtype=torch.float64)
    for kind in ("systematic", "stratified"):
        index = RESAMPLERS[kind](weights, torch.full((1, m), BELOW_ONE, dtype=torch.float64), m)
        assert index.max() == 4
