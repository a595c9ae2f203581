"""Potentials of Feynman-Kac steering: what the weights follow on the way, when they are the tilt itself at the end.

The log-weight of a path is the last value that a potential gave it, and the last value is ``r(x_1)`` for all of them,
so that all sample the tilted law; they differ in what resampling on the way favours (arXiv 2501.06848).
"""

from __future__ import annotations

from typing import Protocol

import torch

from fmtt.tilt.tilt import TiltValue


class Potential(Protocol):
    """The value that counts after a step, in the place of that of the tilt ``now``."""

    def __call__(self, before: TiltValue, now: TiltValue) -> TiltValue: ...


class Difference:
    """``r_k``: the increments are differences of the tilt."""

    def __call__(self, before: TiltValue, now: TiltValue) -> TiltValue:
        return now


class Sum:
    """``r_1 + ... + r_k``: what was promising for long counts more."""

    def __call__(self, before: TiltValue, now: TiltValue) -> TiltValue:
        return now._replace(value=before.value + now.value)


class Max:
    """``m_1 + ... + m_k`` with m_j the largest tilt up to step j: what was promising once is kept."""

    def __call__(self, before: TiltValue, now: TiltValue) -> TiltValue:
        peak = now.value if before.peak is None else torch.maximum(before.peak, now.value)
        return now._replace(value=before.value + peak, peak=peak)


POTENTIALS: dict[str, type[Potential]] = {"difference": Difference, "sum": Sum, "max": Max}
