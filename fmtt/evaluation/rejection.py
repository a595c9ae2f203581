"""Independent draws from a tilted law, by rejection from the base law."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from fmtt.flow import noise
from fmtt.models.analytic import MixtureLaw


def tilted_by_rejection(
    law: MixtureLaw, reward: Callable[[Tensor], Tensor], scale: float, upper: float, count: int, seed: int
) -> Tensor:
    """``(count, d)`` independent draws of the law proportional to ``rho(x) exp(scale r(x))``, in float64.

    Args:
        law: the base law rho.
        reward: r, at most ``upper`` if the scale is positive.
        scale: positive.
        upper: an upper bound of the reward.
        count: number of draws.
        seed: seed of the draws.

    Raises:
        ValueError: if the scale is negative, a reward is above the bound, or too few draws are accepted.
    """
    if scale < 0:
        raise ValueError(f"rejection: reward.scale={scale}: must not be negative")
    accepted: list[Tensor] = []
    for attempt in range(1000):
        x = law.sample(10 * count, seed + 1_000_003 * attempt)
        values = reward(x).double()
        if (values > upper).any():
            raise ValueError(f"rejection: the reward reaches {values.max().item():g}, above its bound {upper:g}")
        u = noise.uniform((len(x),), seed, attempt, "rejection")
        accepted.append(x[u < torch.exp(scale * (values - upper))])
        if sum(map(len, accepted)) >= count:
            return torch.cat(accepted)[:count]
    raise ValueError(f"rejection: fewer than {count} of {10_000 * count} draws were accepted")
