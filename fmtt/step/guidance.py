"""What the move adds to the drift: the vector g of ``(eps + chi) g``, and the steps in which it is added."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from fmtt.checks import fraction, positive
from fmtt.step.needs import GRADIENT, Needs
from fmtt.tilt.posterior import Posterior, Velocities, value_gradient, value_terms
from fmtt.tilt.tilt import Tilt, columns


class Vantage(NamedTuple):
    """The start of a step, as guidance sees it.

    Attributes:
        x: positions, ``(G, N, *D)``.
        t: the time.
        gradient: the gradient of the tilt in force, or None for guidance that does not need it.
        velocity: ``b_t(x)``, or None for guidance that does not need it.
        copies: standard normals ``(G, M, N, *D)``, or None for guidance without samples.
        landing: where the look-ahead sees them land, ``(G, N, *D)``, or None where the tilt was not asked for.
        base: the model's velocity.
        tilt: the tilt.
    """

    x: Tensor
    t: float
    gradient: Tensor | None
    velocity: Tensor | None
    copies: Tensor | None
    landing: Tensor | None
    base: Velocities
    tilt: Tilt


class Guidance(Protocol):
    """The vector g of a population ``(G, N, *D)``."""

    @property
    def invariant(self) -> bool:
        """Whether g is ``grad r_t`` itself, which leaves the tilted law invariant together with the noise."""
        ...

    @property
    def needs(self) -> Needs:
        """What a step uses in which it acts."""
        ...

    def __call__(self, at: Vantage) -> Tensor:
        """g, ``(G, N, *D)``."""
        ...


@dataclass(frozen=True)
class TiltGradient:
    """``g = strength grad r_t``: at a strength of 1 the tilted dynamics of FMTT; more is for maximising."""

    strength: float = 1.0
    needs = GRADIENT

    def __post_init__(self) -> None:
        positive("mode.gradient.strength", self.strength)

    @property
    def invariant(self) -> bool:
        return self.strength == 1

    def __call__(self, at: Vantage) -> Tensor:
        assert at.gradient is not None
        return at.gradient if self.invariant else self.strength * at.gradient


@dataclass(frozen=True)
class NormalisedGradient:
    """``grad r_t``, brought to Euclidean length ``norm`` in each particle; zero stays zero."""

    norm: float
    invariant = False
    needs = GRADIENT

    def __post_init__(self) -> None:
        positive("mode.gradient.norm", self.norm)

    def __call__(self, at: Vantage) -> Tensor:
        assert at.gradient is not None
        return with_length(at.gradient, self.norm, torch.finfo(at.x.dtype).tiny)


@dataclass(frozen=True)
class ClippedGradient:
    """``grad r_t``, shortened to Euclidean length ``norm`` in each particle where it is longer."""

    norm: float
    invariant = False
    needs = GRADIENT

    def __post_init__(self) -> None:
        positive("mode.gradient.norm", self.norm)

    def __call__(self, at: Vantage) -> Tensor:
        assert at.gradient is not None
        return with_length(at.gradient, self.norm, self.norm)


@dataclass(frozen=True)
class LikeVelocity:
    """``grad r_t``, brought to ``factor`` times the length of the velocity in each particle (arXiv 2604.27147).

    It is the mean velocity on the way to the landing, ``(L_t(x) - x) / (1 - t)``, which costs nothing.
    """

    factor: float
    invariant = False
    needs = GRADIENT

    def __post_init__(self) -> None:
        positive("mode.factor", self.factor)

    def __call__(self, at: Vantage) -> Tensor:
        assert at.gradient is not None and at.landing is not None
        tiny = torch.finfo(at.x.dtype).tiny
        return with_length(at.gradient, self.factor / (1 - at.t) * lengths(at.landing - at.x), tiny)


@dataclass(frozen=True)
class ValueGradient:
    """``grad V_t`` with ``V_t(x) = log E[e^r(x_1) | x_t = x]``, from samples of the posterior (arXiv 2602.05993).

    The drift ``b + (1 - t) / t grad V_t`` carries noise to the tilted law without weights, as samples grow.
    """

    posterior: Posterior
    invariant = False

    @property
    def needs(self) -> Needs:
        return Needs(copies=self.posterior.samples)

    def __call__(self, at: Vantage) -> Tensor:
        assert at.copies is not None
        return value_gradient(self.posterior, at.x, at.t, at.base, at.tilt, at.copies)


@dataclass(frozen=True)
class ValueTerms:
    """The guidance of the published code of Weighted Diamond Maps: three terms of one length (arXiv 2602.05993).

    The terms are the means over the samples of ``grad r(z)``, of ``grad log N(x; t z, (1-t)^2)`` and of the difference
    of scores, under weights ``softmax(r)``. That they are brought to their length after the mean is our reading.
    """

    posterior: Posterior
    length: float
    invariant = False

    def __post_init__(self) -> None:
        positive("mode.length", self.length)

    @property
    def needs(self) -> Needs:
        return Needs(copies=self.posterior.samples)

    def __call__(self, at: Vantage) -> Tensor:
        assert at.copies is not None
        terms = value_terms(self.posterior, at.x, at.t, at.base, at.tilt, at.copies)
        tiny = torch.finfo(at.x.dtype).tiny
        return torch.stack([with_length(term, self.length, tiny) for term in terms]).sum(0)


@dataclass(frozen=True)
class Window:
    """The steps in which guidance acts: those that start in ``[start, end)``, by default all of them."""

    start: float = 0.0
    end: float = 1.0

    def __post_init__(self) -> None:
        if not fraction("mode.window", self.start) < fraction("mode.window", self.end):
            raise ValueError(f"mode.window=[{self.start}, {self.end}]: must be two increasing times in [0, 1]")

    @staticmethod
    def of(times: Sequence[float]) -> Window:
        """The window ``(start, end)`` of a configuration."""
        if isinstance(times, str) or not isinstance(times, Sequence) or len(times) != 2:
            raise ValueError(f"mode.window={times}: must be two increasing times in [0, 1]")
        return Window(*times)

    @property
    def whole(self) -> bool:
        """Whether guidance acts in every step."""
        return (self.start, self.end) == (0, 1)

    def holds(self, t: float) -> bool:
        """Whether guidance acts in a step that starts at t."""
        return self.whole or self.start <= t < self.end

    def late(self, t0: float) -> Window:
        """The same for a run that begins at t0: pressed together from [0, 1] to [t0, 1]."""
        return self if self.whole else Window(t0 + (1 - t0) * self.start, t0 + (1 - t0) * self.end)


def lengths(vectors: Tensor) -> Tensor:
    """Euclidean norm of each particle's vector ``(G, N, *D)``, shaped to multiply it."""
    return columns(torch.linalg.vector_norm(vectors.flatten(2), dim=2), vectors)


def with_length(vectors: Tensor, length: float | Tensor, shortest: float) -> Tensor:
    """``vectors (G, N, *D)``, brought to a Euclidean length; ``shortest`` is a lower bound on the norm divided by."""
    return vectors / lengths(vectors).clamp_min(shortest) * length
