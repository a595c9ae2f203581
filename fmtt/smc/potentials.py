"""Potentials of Feynman-Kac steering: what the weights follow on the way, when they are the tilt itself at the end.

The log-weight of a path is the last value that a potential gave it, and the last value is ``r(x_1)`` for all of them,
so that all sample the tilted law; they differ in what resampling on the way favours (arXiv 2501.06848).
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from fmtt.tilt.tilt import gather


class PathValue(NamedTuple):
    """The logarithm of the weights that a path was given so far.

    Attributes:
        value: ``(G, N)`` in float64.
        peak: the largest tilt on the way, ``(G, N)``, for potentials that need it.
    """

    value: Tensor
    peak: Tensor | None = None

    def take(self, index: Tensor) -> PathValue:
        """The values of the particles ``index (G, M)`` of each group."""
        return PathValue(gather(self.value, index), None if self.peak is None else gather(self.peak, index))


class Potential(Protocol):
    """The value of a path after a step at whose end the tilt is ``tilt (G, N)``."""

    def __call__(self, before: PathValue, tilt: Tensor) -> PathValue: ...


class Difference:
    """``r_k``: the increments are differences of the tilt."""

    def __call__(self, before: PathValue, tilt: Tensor) -> PathValue:
        return PathValue(tilt)


class Sum:
    """``r_1 + ... + r_k``: a path that was promising for long counts more."""

    def __call__(self, before: PathValue, tilt: Tensor) -> PathValue:
        return PathValue(before.value + tilt)


class Max:
    """``m_1 + ... + m_k`` with m_j the largest tilt up to step j: a path that was promising once is kept."""

    def __call__(self, before: PathValue, tilt: Tensor) -> PathValue:
        peak = tilt if before.peak is None else torch.maximum(before.peak, tilt)
        return PathValue(before.value + peak, peak)


POTENTIALS: dict[str, type[Potential]] = {"difference": Difference, "sum": Sum, "max": Max}
