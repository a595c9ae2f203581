"""The kick of a step, which keeps the law of its time: ``dt [eps s + (eps + chi) g] + sqrt(2 eps dt) xi``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor

from fmtt.step.interval import Interval


class Seen(NamedTuple):
    """The base velocity where a step asked for it.

    Attributes:
        x: where, ``(G, N, *D)``.
        t: when; before the end of the step.
        velocity: ``b_t(x)``, ``(G, N, *D)``.
    """

    x: Tensor
    t: float
    velocity: Tensor

    @property
    def score(self) -> Tensor:
        """``s_t(x)``; t is before the end of the step, so that 1 - t is not 0."""
        return (self.t * self.velocity - self.x) / (1 - self.t)

    @property
    def denoised(self) -> Tensor:
        """``E[x_1 | x_t = x]``."""
        return self.x + (1 - self.t) * self.velocity


def kicked(x: Tensor, seen: Seen | None, pushes: Sequence[Tensor], interval: Interval) -> Tensor:
    """``x (G, N, *D)`` after the kick of a step.

    ``eps s`` is formed from ``E[x_0 | x_t]``, so that the score, which is singular at t = 1, never is.

    Args:
        x: positions before it.
        seen: where the velocity was asked for; not used where epsilon is zero.
        pushes: the displacements by guidance and by noise.
        interval: the step.
    """
    if interval.epsilon > 0:
        assert seen is not None
        x = x - interval.dt * interval.epsilon / (1 - seen.t) * (seen.x - seen.t * seen.velocity)
    for push in pushes:
        x = x + push
    return x
