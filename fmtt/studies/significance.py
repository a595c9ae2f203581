"""Intervals and tests for comparisons of methods on the same seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

import torch
from torch import Tensor

from fmtt.flow import noise

LEVEL = 0.95  # of all intervals


def wilson(hits: int, number: int, level: float = LEVEL) -> tuple[float, float]:
    """The interval of Wilson (1927) for a share of which ``hits`` of ``number`` were seen; (0, 1) for no trials."""
    if number == 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf((1 + level) / 2)
    share, shrink = hits / number, 1 + z * z / number
    middle = share + z * z / (2 * number)
    half = z * math.sqrt(share * (1 - share) / number + (z / (2 * number)) ** 2)
    return max(0.0, (middle - half) / shrink), min(1.0, (middle + half) / shrink)


def bootstrap(values: Tensor, draws: int = 2000, level: float = LEVEL) -> tuple[float, float]:
    """The percentile interval of the mean of ``values (S,)`` over seeds, by draws that are keyed."""
    rows = (noise.uniform((draws, len(values)), "bootstrap", len(values)) * len(values)).long()
    means = values.double()[rows].mean(1)
    low, high = torch.quantile(means, torch.tensor([(1 - level) / 2, (1 + level) / 2], dtype=torch.float64)).tolist()
    return low, high


def sign_test(differences: Tensor) -> float:
    """The two-sided p-value of as many pairs up as down, exactly; equal pairs say nothing. For shares: McNemar's test.

    ``differences`` is ``(S,)``, one number for each pair.
    """
    up, down = int((differences > 0).sum()), int((differences < 0).sum())
    number, fewer = up + down, min(up, down)
    tail = sum(math.comb(number, k) for k in range(fewer + 1)) / 2**number
    return min(1.0, 2 * tail)


def paired_tests(differences: Tensor, draws: int = 20_000) -> list[float]:
    """Two-sided p-values of means of zero, by random signs: the two of a pair may be exchanged if methods are equal.

    Where no drawn mean is as large as the one that was seen, the p-value is that of the normal law.

    Args:
        differences: ``(S, M)``, of S pairs for each of M comparisons.
        draws: of the signs of all pairs.
    """
    apart = differences.double()
    number = len(apart)
    observed = apart.mean(0).abs()
    signs = noise.uniform((draws, number), "signs", number).lt(0.5).double().mul_(2).sub_(1)
    as_large = ((signs @ apart / number).abs() >= observed * (1 - 1e-12)).sum(0)
    by_signs = (as_large + 1) / (draws + 1)
    far = torch.erfc(observed / (apart.std(0) / math.sqrt(number)) / math.sqrt(2))
    least = 2.0 ** (1 - number)  # of all signs, two are as extreme as they can be
    return torch.where(as_large > 0, by_signs, far.clamp_min(least)).tolist()


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values adjusted for their number by Holm (1979); compare them with the level of all tests together."""
    number, adjusted, largest = len(p_values), [0.0] * len(p_values), 0.0
    for rank, index in enumerate(sorted(range(number), key=lambda k: p_values[k])):
        largest = max(largest, min(1.0, (number - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted
