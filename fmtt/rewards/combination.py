"""Combinations of rewards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from fmtt.checks import finite
from fmtt.flow.protocols import as_reward


class ScaledReward(Protocol):
    """A reward with its own ``scale``."""

    @property
    def scale(self) -> float: ...

    def __call__(self, x: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class WeightedSum:
    """``r(x) = sum_i scale_i r_i(x)``.

    Attributes:
        terms: named rewards, each with its own ``scale``.
        scale: multiplies the sum.
    """

    terms: Mapping[str, ScaledReward]
    scale: float = 1.0

    def __post_init__(self) -> None:
        finite("reward.scale", self.scale)
        if not self.terms:
            raise ValueError("reward.terms={}: needs at least one reward")

    def __call__(self, x: Tensor) -> Tensor:
        return torch.stack([term.scale * term(x) for term in self.terms.values()]).sum(0)

    def statistics(self, x: Tensor) -> dict[str, Tensor]:
        """Each term without its scale, as ``terms/<name>``, and the statistics of the terms; ``(B,)`` each."""
        shown = {f"terms/{name}": term(x) for name, term in self.terms.items()}
        for term in self.terms.values():
            measure = as_reward(term).statistics
            shown |= {} if measure is None else measure(x)
        return shown
