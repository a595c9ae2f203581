"""What a model or a reward may offer beyond its call."""

from __future__ import annotations

from typing import ClassVar, NamedTuple, Protocol

from torch import Tensor


class Verdict(NamedTuple):
    """What an evaluator says of samples.

    Attributes:
        label: the class of each, ``(B,)``.
        sure: whether it is clearly one, ``(B,)``.
    """

    label: Tensor
    sure: Tensor


class Evaluator(Protocol):
    """Sorts samples ``(B, *D)`` into ``classes``, and has features for Frechet distances and diversity."""

    classes: ClassVar[int]

    def __call__(self, x: Tensor) -> Verdict: ...

    def features(self, x: Tensor) -> Tensor:
        """``(B, F)``."""
        ...
