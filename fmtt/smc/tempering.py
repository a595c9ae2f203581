"""How much of the tilt is let in: all that the ramp allows, or as much as the effective sample size bears."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from fmtt.checks import fraction
from fmtt.smc.diagnostics import incremental_discrepancy

HALVINGS = 40


class Tempering(Protocol):
    """Chooses the share of the tilt in force after a step."""

    def share(self, log_weights: Tensor, increment: Tensor, value: Tensor, lowest: Tensor) -> Tensor:
        """The share ``(G,)`` in [lowest, 1].

        Args:
            log_weights: those before the step, ``(G, N)``.
            increment: that of the step if the share were 1, ``(G, N)``.
            value: the whole tilt after the step, ``(G, N)``.
            lowest: the share that leaves the tilt as strong as it was, ``(G,)``.
        """
        ...


@dataclass(frozen=True)
class EssTempering:
    """The largest share whose increments keep an effective sample size of ``threshold``, by bisection.

    The conditional ESS of increments a is ``(sum W e^a)^2 / sum W e^2a = exp(-D)`` with D their discrepancy. This
    replaces the 500 steps of gradient descent of the code of DAS (arXiv 2501.05803).
    """

    threshold: float

    def __post_init__(self) -> None:
        if fraction("mode.tempering", self.threshold) in (0, 1):
            raise ValueError(f"mode.tempering={self.threshold}: must lie between 0 and 1")

    def share(self, log_weights: Tensor, increment: Tensor, value: Tensor, lowest: Tensor) -> Tensor:
        def loss(share: Tensor) -> Tensor:
            return incremental_discrepancy(log_weights, increment - (1 - share)[:, None] * value)

        return largest(loss, -math.log(self.threshold), lowest, torch.ones_like(lowest))


def largest(loss: Callable[[Tensor], Tensor], allowed: float, low: Tensor, high: Tensor) -> Tensor:
    """The largest x in [low, high] up to which ``loss(x) <= allowed``, by bisection; low if there is none; ``(G,)``."""
    whole, start = loss(high) <= allowed, low
    top = high
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        fits = loss(middle) <= allowed
        low, high = torch.where(fits, middle, low), torch.where(fits, high, middle)
    return torch.where(whole, top, torch.maximum(low, start))
