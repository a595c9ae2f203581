"""What the move adds to the drift: the vector g of ``(eps + chi) g``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from fmtt.checks import fraction, positive
from fmtt.tilt.posterior import Posterior, Velocities, value_gradient
from fmtt.tilt.tilt import Tilt, columns


class Vantage(NamedTuple):
    """Where a step begins, and what guidance may ask there.

    Attributes:
        x: positions, ``(G, N, *D)``.
        t: the time.
        gradient: ``grad r_t(x)``, or None for guidance that does not use it.
        velocity: ``b_t(x)``, or None for guidance that does not use it.
        draws: standard normals ``(G, M, N, *D)``, or None for guidance without samples.
        base: the model's velocity.
        tilt: the tilt.
    """

    x: Tensor
    t: float
    gradient: Tensor | None
    velocity: Tensor | None
    draws: Tensor | None
    base: Velocities
    tilt: Tilt


class Guidance(Protocol):
    """The vector g of a population ``(G, N, *D)``.

    ``raw`` says that g is ``grad r_t`` itself, which leaves the tilted law invariant together with the noise;
    ``uses_gradient`` and ``uses_velocity`` what a vantage must hold; ``samples`` how many draws each particle needs.
    """

    @property
    def raw(self) -> bool: ...

    @property
    def uses_gradient(self) -> bool: ...

    @property
    def uses_velocity(self) -> bool: ...

    @property
    def samples(self) -> int: ...

    def active(self, t: float) -> bool:
        """Whether g can differ from zero in a step that starts at t."""
        ...

    def __call__(self, at: Vantage) -> Tensor:
        """g, ``(G, N, *D)``."""
        ...


class NoGuidance:
    """g = 0: the base move."""

    raw = uses_gradient = uses_velocity = False
    samples = 0

    def active(self, t: float) -> bool:
        return False

    def __call__(self, at: Vantage) -> Tensor:
        return torch.zeros_like(at.x)


@dataclass(frozen=True)
class TiltGradient:
    """``g = strength grad r_t``: at a strength of 1 the tilted dynamics of FMTT; more is for maximising."""

    strength: float = 1.0
    uses_gradient = True
    uses_velocity = False
    samples = 0

    def __post_init__(self) -> None:
        positive("mode.gradient.strength", self.strength)

    @property
    def raw(self) -> bool:
        return self.strength == 1

    def active(self, t: float) -> bool:
        return True

    def __call__(self, at: Vantage) -> Tensor:
        assert at.gradient is not None
        return at.gradient if self.raw else self.strength * at.gradient


@dataclass(frozen=True)
class NormalisedGradient:
    """``grad r_t``, brought to Euclidean length ``norm`` in each particle; zero stays zero."""

    norm: float
    raw = uses_velocity = False
    uses_gradient = True
    samples = 0

    def __post_init__(self) -> None:
        positive("mode.gradient.norm", self.norm)

    def active(self, t: float) -> bool:
        return True

    def __call__(self, at: Vantage) -> Tensor:
        assert at.gradient is not None
        return at.gradient / lengths(at.gradient).clamp_min(self.shortest(at.gradient)) * self.norm

    def shortest(self, gradient: Tensor) -> float:
        """Vectors that are shorter than this are taken to be as long."""
        return torch.finfo(gradient.dtype).tiny


class ClippedGradient(NormalisedGradient):
    """``grad r_t``, shortened to Euclidean length ``norm`` in each particle where it is longer."""

    def shortest(self, gradient: Tensor) -> float:
        return self.norm


@dataclass(frozen=True)
class LikeVelocity:
    """``grad r_t``, brought to ``factor`` times the length of the velocity in each particle (arXiv 2604.27147)."""

    factor: float
    raw = False
    uses_gradient = uses_velocity = True
    samples = 0

    def __post_init__(self) -> None:
        positive("mode.factor", self.factor)

    def active(self, t: float) -> bool:
        return True

    def __call__(self, at: Vantage) -> Tensor:
        assert at.gradient is not None and at.velocity is not None
        tiny = torch.finfo(at.x.dtype).tiny
        return at.gradient / lengths(at.gradient).clamp_min(tiny) * (self.factor * lengths(at.velocity))


@dataclass(frozen=True)
class ValueGradient:
    """``grad V_t`` with ``V_t(x) = log E[e^r(x_1) | x_t = x]``, from samples of the posterior (arXiv 2602.05993).

    The drift ``b + (1 - t) / t grad V_t`` carries noise to the tilted law without weights, as samples grow.
    """

    posterior: Posterior
    raw = uses_gradient = uses_velocity = False

    @property
    def samples(self) -> int:
        return self.posterior.samples

    def active(self, t: float) -> bool:
        return True

    def __call__(self, at: Vantage) -> Tensor:
        assert at.draws is not None
        return value_gradient(self.posterior, at.x, at.t, at.base, at.tilt, at.draws)


@dataclass(frozen=True)
class Window:
    """The ``inner`` guidance in the steps that start in ``[start, end)``, none in the others."""

    inner: Guidance
    start: float
    end: float
    raw = False

    @property
    def uses_gradient(self) -> bool:
        return self.inner.uses_gradient

    @property
    def uses_velocity(self) -> bool:
        return self.inner.uses_velocity

    @property
    def samples(self) -> int:
        return self.inner.samples

    def __post_init__(self) -> None:
        if not fraction("mode.window", self.start) < fraction("mode.window", self.end):
            raise ValueError(f"mode.window=[{self.start}, {self.end}]: must be two increasing times in [0, 1]")

    def active(self, t: float) -> bool:
        return self.start <= t < self.end and self.inner.active(t)

    def __call__(self, at: Vantage) -> Tensor:
        return self.inner(at)


def late(guidance: Guidance, t0: float) -> Guidance:
    """``guidance`` in a run that begins at t0: its window is pressed together from [0, 1] to [t0, 1]."""
    if not isinstance(guidance, Window):
        return guidance
    start, end = (t0 + (1 - t0) * t for t in (guidance.start, guidance.end))
    return Window(guidance.inner, start, end)


def lengths(vectors: Tensor) -> Tensor:
    """Euclidean norm of each particle's vector ``(G, N, *D)``, shaped to multiply it."""
    return columns(torch.linalg.vector_norm(vectors.flatten(2), dim=2), vectors)
