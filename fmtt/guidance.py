"""What the move adds to the drift: the vector g of ``(eps + chi) g``, made from the gradient of the tilt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from fmtt.validation import fraction, positive


class Guidance(Protocol):
    """The vector g of a population ``(G, N, *D)``.

    ``raw`` says that g is ``grad r_t`` itself, which leaves the tilted law invariant together with the noise.
    """

    raw: bool

    def active(self, t: float) -> bool:
        """Whether g can differ from zero in a step that starts at t."""
        ...

    def __call__(self, gradient: Tensor) -> Tensor:
        """g, made from ``grad r_t``."""
        ...


class NoGuidance:
    """g = 0: the base move."""

    raw = False

    def active(self, t: float) -> bool:
        return False

    def __call__(self, gradient: Tensor) -> Tensor:
        return torch.zeros_like(gradient)


class TiltGradient:
    """``g = grad r_t``: the tilted dynamics of FMTT."""

    raw = True

    def active(self, t: float) -> bool:
        return True

    def __call__(self, gradient: Tensor) -> Tensor:
        return gradient


@dataclass(frozen=True)
class NormalisedGradient:
    """``grad r_t``, brought to Euclidean length ``norm`` in each particle; zero stays zero."""

    norm: float
    raw = False

    def __post_init__(self) -> None:
        positive("mode.gradient.norm", self.norm)

    def active(self, t: float) -> bool:
        return True

    def __call__(self, gradient: Tensor) -> Tensor:
        return gradient * (self.norm / lengths(gradient).clamp_min(self.shortest(gradient)))

    def shortest(self, gradient: Tensor) -> float:
        """Vectors that are shorter than this are taken to be as long."""
        return torch.finfo(gradient.dtype).tiny


class ClippedGradient(NormalisedGradient):
    """``grad r_t``, shortened to Euclidean length ``norm`` in each particle where it is longer."""

    def shortest(self, gradient: Tensor) -> float:
        return self.norm


@dataclass(frozen=True)
class Window:
    """The ``inner`` guidance in the steps that start in ``[start, end)``, none in the others."""

    inner: Guidance
    start: float
    end: float
    raw = False

    def __post_init__(self) -> None:
        if not fraction("mode.window", self.start) < fraction("mode.window", self.end):
            raise ValueError(f"mode.window=[{self.start}, {self.end}]: must be two increasing times in [0, 1]")

    def active(self, t: float) -> bool:
        return self.start <= t < self.end and self.inner.active(t)

    def __call__(self, gradient: Tensor) -> Tensor:
        return self.inner(gradient)


def lengths(vectors: Tensor) -> Tensor:
    """Euclidean norm of each particle's vector ``(G, N, *D)``, shaped to multiply it."""
    norm = torch.linalg.vector_norm(vectors.flatten(2), dim=2)
    return norm.reshape(*norm.shape, *[1] * (vectors.ndim - 2))
