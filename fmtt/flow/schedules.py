"""Functions of sampling time: the grid of steps, the noise epsilon, the extra drift chi and the ramp beta of the tilt.

Time is a Python float here, since all particles of a run are at the same time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from fmtt.checks import at_least, finite, fraction, positive, whole_number

MOST_STEPS = 1_000_000
LARGEST_MU = 30  # beyond it, all steps but one are at the same time


class Grid(Protocol):
    """Places ``steps + 1`` increasing times from 0 to 1."""

    def times(self, steps: int) -> tuple[float, ...]: ...


@dataclass(frozen=True)
class PowerGrid:
    """``t_k = 1 - (1 - k/K)^power``: uniform for power 1, finer toward the data for powers above 1."""

    power: float = 1.0

    def __post_init__(self) -> None:
        positive("sampler.grid.power", self.power)

    def times(self, steps: int) -> tuple[float, ...]:
        whole_number("sampler.steps", steps, 1, MOST_STEPS)
        return tuple(1 - (1 - k / steps) ** self.power for k in range(steps + 1))


@dataclass(frozen=True)
class EarlyStopGrid:
    """Equal steps until ``end``, and ``rest`` equal steps from there to 1, for guidance that stops early.

    With ``end = 1`` all steps are equal. Where there are too few steps, ``rest`` is smaller: the first one begins at 0.
    """

    end: float = 0.25
    rest: int = 2

    def __post_init__(self) -> None:
        if fraction("sampler.grid.end", self.end) == 0:
            raise ValueError("sampler.grid.end=0: must be positive and at most 1")
        whole_number("sampler.grid.rest", self.rest, 1)

    def times(self, steps: int) -> tuple[float, ...]:
        if self.end == 1:
            return PowerGrid().times(steps)
        rest = min(self.rest, whole_number("sampler.steps", steps, 1, MOST_STEPS) - 1)
        first = steps - rest
        early = (self.end * k / first for k in range(first))
        late = (self.end + (1 - self.end) * k / rest for k in range(rest))
        return (*early, *late, 1.0)


@dataclass(frozen=True)
class ShiftedGrid:
    """The shifted noise levels of FLUX and SD3: ``1 - t = m / (m + 1/u - 1)`` with ``u = 1 - k/K``, ``m = e^mu``."""

    mu: float = 1.15

    def __post_init__(self) -> None:
        if abs(finite("sampler.grid.mu", self.mu)) > LARGEST_MU:
            raise ValueError(f"sampler.grid.mu={self.mu}: must lie between -{LARGEST_MU} and {LARGEST_MU}")

    def times(self, steps: int) -> tuple[float, ...]:
        levels = [1 - k / steps for k in range(1, whole_number("sampler.steps", steps, 1, MOST_STEPS))]
        shift = math.exp(self.mu)
        return (0.0, *(1 - shift / (shift + 1 / u - 1) for u in levels), 1.0)


class Epsilon(Protocol):
    """The schedule ``eps_t >= 0`` of the noise in ``dx = [b + eps s] dt + sqrt(2 eps) dW``.

    ``vanishes`` says that there is no noise at all.
    """

    def __call__(self, t: float) -> float: ...

    @property
    def vanishes(self) -> bool: ...


@dataclass(frozen=True)
class ZeroEpsilon:
    """``eps = 0``: the probability-flow ODE."""

    vanishes = True

    def __call__(self, t: float) -> float:
        return 0.0


@dataclass(frozen=True)
class ConstantEpsilon:
    """``eps = c``; stiff near the data, where it needs steps shorter than ``2 (1 - t) / c``."""

    c: float = 1.0

    def __post_init__(self) -> None:
        at_least("sampler.epsilon.c", self.c, 0)

    @property
    def vanishes(self) -> bool:
        return self.c == 0

    def __call__(self, t: float) -> float:
        return self.c


@dataclass(frozen=True)
class PowerEpsilon:
    """``eps = c (1 - t)^power``; with c = power = 1 the schedule of the paper.

    With power 2 it falls like the variance of ``x_t`` around its landing point, so that a step of the noise keeps its
    size there: for sharp rewards the drift ``eps grad r_t`` of power 1 gets stiff toward the data.
    """

    c: float = 1.0
    power: float = 1.0

    def __post_init__(self) -> None:
        at_least("sampler.epsilon.c", self.c, 0)
        at_least("sampler.epsilon.power", self.power, 1)

    @property
    def vanishes(self) -> bool:
        return self.c == 0

    def __call__(self, t: float) -> float:
        return self.c * (1 - t) ** self.power


@dataclass(frozen=True)
class RegularisedEpsilon:
    """``eps = (1 - t) / (t + h)``: the memoryless schedule, finite at the start."""

    h: float = 0.05
    vanishes = False

    def __post_init__(self) -> None:
        positive("sampler.epsilon.h", self.h)

    def __call__(self, t: float) -> float:
        return (1 - t) / (t + self.h)


class Chi(Protocol):
    """The schedule ``chi_t >= 0`` of the extra drift ``chi grad r_t`` (arXiv 2511.22688, Cor. A.2).

    ``vanishes`` says that there is none.
    """

    def __call__(self, t: float) -> float: ...

    @property
    def vanishes(self) -> bool: ...


@dataclass(frozen=True)
class ZeroChi:
    """``chi = 0``: the reward enters the drift only together with the noise."""

    vanishes = True

    def __call__(self, t: float) -> float:
        return 0.0


@dataclass(frozen=True)
class ConstantChi:
    """``chi = c``."""

    c: float = 1.0

    def __post_init__(self) -> None:
        at_least("sampler.chi.c", self.c, 0)

    @property
    def vanishes(self) -> bool:
        return self.c == 0

    def __call__(self, t: float) -> float:
        return self.c


@dataclass(frozen=True)
class RegularisedChi:
    """``chi = c (1 - t) / (t + h)``: the schedule of the paper for c = 1.05 and h = .05.

    ``(1 - t) / t``, its limit, is what replacing the score by that of the tilted law adds to the velocity.
    """

    c: float = 1.05
    h: float = 0.05

    def __post_init__(self) -> None:
        at_least("sampler.chi.c", self.c, 0)
        positive("sampler.chi.h", self.h)

    @property
    def vanishes(self) -> bool:
        return self.c == 0

    def __call__(self, t: float) -> float:
        return self.c * (1 - t) / (t + self.h)


class Ramp(Protocol):
    """``beta(t)`` with beta(1) = 1; the tilt is ``r_t = beta(t) scale r(L_t(x))``.

    Where beta(0) is not zero, particles start with weights of their own: importance sampling of the noise.
    """

    def __call__(self, t: float) -> float: ...


@dataclass(frozen=True)
class PowerRamp:
    """``beta(t) = t^power``; power 1 is the paper's ``r_t = t r(X_{t,1})``."""

    power: float = 1.0

    def __post_init__(self) -> None:
        positive("sampler.beta.power", self.power)

    def __call__(self, t: float) -> float:
        return t**self.power


@dataclass(frozen=True)
class EarlyRamp:
    """``beta(t) = min(t / end, 1)``: the whole tilt is in force from t = end on."""

    end: float = 0.5

    def __post_init__(self) -> None:
        if fraction("sampler.beta.end", self.end) == 0:
            raise ValueError("sampler.beta.end=0: must be positive and at most 1")

    def __call__(self, t: float) -> float:
        return min(t / self.end, 1.0)


@dataclass(frozen=True)
class RampFrom:
    """``beta(t) = start + (1 - start) t``: a share ``start`` of the tilt is in force from the beginning."""

    start: float = 1.0

    def __post_init__(self) -> None:
        fraction("sampler.beta.start", self.start)

    def __call__(self, t: float) -> float:
        return self.start + (1 - self.start) * t


@dataclass(frozen=True)
class LateRamp:
    """``ramp`` pressed together from [0, 1] to [t0, 1], for runs that begin at t0."""

    ramp: Ramp
    t0: float

    def __call__(self, t: float) -> float:
        return self.ramp((t - self.t0) / (1 - self.t0))
