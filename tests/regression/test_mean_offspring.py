"""An index was capped by the number of draws, so that late particles were never chosen.

Weights sorted ascending, with fewer, as many and more draws than particles: the mean number of offspring of every
particle is ``m w``, in standard errors over independent groups.
"""

import pytest
import torch

from fmtt.flow import noise
from fmtt.smc.resampling import RESAMPLERS

GROUPS = 20_000
WEIGHTS = {
    "spread": torch.tensor([0.001, 0.02, 0.07, 0.11, 0.19, 0.24, 0.369], dtype=torch.float64),
    "one heavy": torch.tensor([0.0, 0.01, 0.02, 0.03, 0.94], dtype=torch.float64),
    "equal": torch.full((6,), 1 / 6, dtype=torch.float64),
}


@pytest.mark.parametrize("kind", RESAMPLERS)
@pytest.mark.parametrize("name", WEIGHTS)
@pytest.mark.parametrize("draws", ["fewer", "as many", "more"])
def test_mean_offspring(kind: str, name: str, draws: str) -> None:
    weights = WEIGHTS[name]
    n = len(weights)
    m = {"fewer": n - 2, "as many": n, "more": 2 * n + 3}[draws]
    index = RESAMPLERS[kind](weights.expand(GROUPS, n), noise.uniform((GROUPS, max(m, 2 * n)), 1, kind, draws), m)
    counts = torch.stack([(index == particle).sum(1) for particle in range(n)], 1).double()
    deviation, error = counts.mean(0) - m * weights, counts.std(0) / GROUPS**0.5
    certain = error == 0  # as many as m w in every group
    assert (deviation.abs() <= torch.where(certain, 1e-9, 4 * error)).all()
    assert name == "equal" or not certain.all()
