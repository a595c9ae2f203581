"""The guard against draws above the cumulative sum returned the last particle, though its weight was zero."""

import math

import pytest
import torch
from torch import Tensor

from fmtt.flow.noise import uniform
from fmtt.smc.resampling import RESAMPLERS, inverse_cdf

BELOW_ONE = math.nextafter(1.0, 0.0)
N = 41


def weights(name: str, dead: Tensor) -> Tensor:
    alive = uniform((6, N), 0, name)
    values = {"smooth": alive, "tiny": alive * 1e-12, "spread": torch.exp(60 * (alive - 1))}[name] * ~dead
    values = values / values.sum(1, keepdim=True)
    return values.float().double() if name == "smooth" else values  # sums that miss one by a float32 rounding


DEAD = {
    "first": torch.arange(N) < 3,
    "last": torch.arange(N) >= N - 3,
    "both ends": (torch.arange(N) < 3) | (torch.arange(N) >= N - 3),
    "every other": torch.arange(N) % 2 == 0,
    "all but one": torch.arange(N) != 17,
}


@pytest.mark.parametrize("kind", RESAMPLERS)
@pytest.mark.parametrize("where", DEAD)
@pytest.mark.parametrize("name", ["smooth", "tiny", "spread"])
def test_particle_of_zero_weight_is_never_chosen(kind: str, where: str, name: str) -> None:
    w = weights(name, DEAD[where])
    draws = [torch.full((6, 200), u, dtype=torch.float64) for u in (0.0, 1e-300, 0.5, BELOW_ONE)]
    for u in (*draws, uniform((6, 200), 1, "u")):
        for m in (7, N, 100):
            chosen = RESAMPLERS[kind](w, u, m)
            assert (w.gather(1, chosen) > 0).all(), m


def test_rounding_of_a_parallel_sum_makes_no_room_for_zero_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """A parallel scan need not give a zero weight the very sum of the one before it: here it is one rounding more."""
    above = math.nextafter(0.5, 1.0)
    monkeypatch.setattr(
        Tensor, "cumsum", lambda weights, dim: torch.tensor([[0.5, above, 1.0, above]], dtype=torch.float64)
    )
    weights = torch.tensor([[0.5, 0.0, 0.5, 0.0]], dtype=torch.float64)
    points = torch.tensor([[0.0, 0.5, above, BELOW_ONE]], dtype=torch.float64)
    assert inverse_cdf(weights, points).tolist() == [[0, 2, 2, 2]]
