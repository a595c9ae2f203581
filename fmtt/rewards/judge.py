"""A reward that is evaluated for one sample at a time, such as a verifier behind a network interface, or a person."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import torch
from torch import Tensor

from fmtt.checks import finite, whole_number


@dataclass(frozen=True)
class Judge:
    """``r(x_i) = score(x_i)``, with up to ``workers`` calls in parallel; not differentiable.

    Scores are returned in the order of the samples, even if the calls finish in another order.

    Attributes:
        score: function from one sample ``(*D)`` to a number.
        workers: largest number of parallel calls.
        scale: multiplies the reward.
    """

    score: Callable[[Tensor], float]
    workers: int = 8
    scale: float = 1.0

    def __post_init__(self) -> None:
        whole_number("reward.workers", self.workers, 1)
        finite("reward.scale", self.scale)

    def __call__(self, x: Tensor) -> Tensor:
        with ThreadPoolExecutor(self.workers) as pool:
            scores = list(pool.map(self.score, x.detach().unbind(0)))
        return torch.tensor(scores, dtype=x.dtype, device=x.device)
