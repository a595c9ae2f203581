"""Markov moves that leave ``N(z; 0, I) exp(-Phi(z))`` invariant. They do not get slower as the dimension grows.

A move proposes a point and computes the logarithm of its acceptance ratio. The proposals are reversible with respect to
a Gaussian, so the acceptance depends on what the law has beside it (Cotter, Roberts, Stuart, White 2013). That Gaussian
is the law of the noise, or a narrower one that fits the particles (:mod:`fmtt.methods.noise_reference`). Inner products
are summed in float64.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from fmtt.checks import whole_number
from fmtt.tilt.tilt import TiltValue, columns


class Point(NamedTuple):
    """Particles ``z (G, N, *D)`` with the tilt at their positions.

    Attributes:
        z: positions.
        tilt: the whole tilt, ``value = -Phi`` at temperature 1, and its gradient if the move uses it.
    """

    z: Tensor
    tilt: TiltValue


Evaluate = Callable[[Tensor], TiltValue]


def inner(a: Tensor, b: Tensor) -> Tensor:
    """Inner products of the particles of ``a`` and ``b``, both ``(G, N, *D)``; ``(G, N)`` in float64."""
    return (a.flatten(2).double() * b.flatten(2).double()).sum(-1)


class Law(NamedTuple):
    """The law ``N(z; 0, I) exp(temperature value)`` that a move leaves invariant, as seen from a Gaussian reference.

    Attributes:
        temperature: ``(G,)``.
        scale: standard deviations of the reference, ``(G, *D)``; None: those of the noise, 1.
    """

    temperature: Tensor
    scale: Tensor | None = None

    def whitened(self, z: Tensor) -> Tensor:
        """``y = z / scale``, which is standard normal under the reference; ``(G, N, *D)``."""
        return z if self.scale is None else z / self.scale[:, None]

    def restored(self, y: Tensor) -> Tensor:
        """``z = scale y``."""
        return y if self.scale is None else y * self.scale[:, None]

    def excess(self, at: Point) -> Tensor:
        """Log-density of the law beside that of the reference, without constants; ``(G, N)`` in float64."""
        value = self.temperature[:, None] * at.tilt.value
        if self.scale is None:
            return value
        y = self.whitened(at.z)
        return value + (inner(y, y) - inner(at.z, at.z)) / 2

    def force(self, at: Point) -> Tensor:
        """Gradient of :meth:`excess` with respect to y, ``(G, N, *D)``."""
        pull = columns(self.temperature, at.z) * gradient(at)
        return pull if self.scale is None else self.restored(pull - at.z) + self.whitened(at.z)


class MetropolisMove(Protocol):
    """A Metropolis move of ``leaps`` evaluations. Its stride is adapted so that the acceptance rate becomes ``target``.

    ``uses_gradient`` says whether it needs the gradient of the tilt.
    """

    @property
    def leaps(self) -> int: ...

    @property
    def target(self) -> float: ...

    @property
    def uses_gradient(self) -> bool: ...

    def propose(
        self, here: Point, law: Law, stride: Tensor, normal: Tensor, evaluate: Evaluate
    ) -> tuple[Point, Tensor]:
        """The proposed point, and the logarithm of its acceptance ratio, ``(G, N)`` in float64.

        Args:
            here: the current particles.
            law: what is left invariant.
            stride: size of the move in (0, 1], ``(G,)``. Towards 0 the particle stays; at 1, under the reference alone,
                its new position does not depend on the old one.
            normal: standard normals ``(G, N, *D)``.
            evaluate: computes the tilt at other positions.
        """
        ...


@dataclass(frozen=True)
class PreconditionedCrankNicolson:
    """pCN: ``v = sqrt(1 - s^2) y + s w`` for whitened positions y, without gradients."""

    leaps = 1
    target = 0.3
    uses_gradient = False

    def propose(
        self, here: Point, law: Law, stride: Tensor, normal: Tensor, evaluate: Evaluate
    ) -> tuple[Point, Tensor]:
        y = columns((1 - stride**2).sqrt(), here.z) * law.whitened(here.z) + columns(stride, here.z) * normal
        z = law.restored(y)
        there = Point(z, evaluate(z))
        return there, law.excess(there) - law.excess(here)


@dataclass(frozen=True)
class SplitHamiltonian:
    """Hamiltonian moves by a splitting: exact rotations for the reference, impulses of the momentum for the rest.

    A move has ``leaps`` leapfrog steps: an impulse, a rotation of (y, p) by the angle ``a = s pi / (2 leaps)``, an
    impulse. A stride of 1 is a quarter turn, which replaces y by new noise if there is no reward (Beskos et al. 2011;
    Shahbaba et al. 2014). An impulse is ``tan(a / 2)`` times the force, where Strang's splitting has a / 2: so a linear
    reward is followed without an error, however large the angle. The map keeps volume and comes back with any factor.
    With one leap this is pCNL, the semi-implicit Langevin step of Cotter et al. (2013): ``cos a = (2 - h) / (2 + h)``.
    """

    leaps: int = 3
    target: float = 0.65
    uses_gradient = True

    def __post_init__(self) -> None:
        whole_number("mode.leaps", self.leaps, 1)

    def propose(
        self, here: Point, law: Law, stride: Tensor, normal: Tensor, evaluate: Evaluate
    ) -> tuple[Point, Tensor]:
        angle = columns(stride, here.z) * (math.pi / (2 * self.leaps))
        cos, sin, impulse = angle.cos(), angle.sin(), (angle / 2).tan()
        at, y, p = here, law.whitened(here.z), normal
        before = (inner(p, p) + inner(y, y)) / 2 - law.excess(here)
        for _ in range(self.leaps):
            p = p + impulse * law.force(at)
            y, p = cos * y + sin * p, cos * p - sin * y
            z = law.restored(y)
            at = Point(z, evaluate(z))
            p = p + impulse * law.force(at)
        return at, before - ((inner(p, p) + inner(y, y)) / 2 - law.excess(at))


def gradient(at: Point) -> Tensor:
    """The gradient of the whole tilt at ``at``, which must have been evaluated with its gradient."""
    assert at.tilt.gradient is not None
    return at.tilt.gradient


MOVES: dict[str, MetropolisMove] = {
    "pcn": PreconditionedCrankNicolson(),
    "pcnl": SplitHamiltonian(leaps=1, target=0.57),
    "hmc": SplitHamiltonian(),
}


def accept(here: Point, there: Point, log_ratio: Tensor, u: Tensor) -> tuple[Point, Tensor]:
    """Move each particle to the proposed point with probability ``min(1, e^log_ratio)``.

    Args:
        here: the current particles.
        there: the proposed ones.
        log_ratio: logarithm of the acceptance ratio, ``(G, N)``.
        u: uniform numbers in [0, 1), ``(G, N)``.

    Returns:
        The particles after the move, and their acceptance probabilities ``(G, N)``.
    """
    chance = log_ratio.clamp_max(0.0).exp()
    taken = u < chance

    def pick(new: Tensor, old: Tensor) -> Tensor:
        return torch.where(columns(taken, new), new, old)

    pairs = zip(there.tilt, here.tilt, strict=True)
    tilt = TiltValue(*(None if new is None or old is None else pick(new, old) for new, old in pairs))  # type: ignore
    return Point(pick(there.z, here.z), tilt), chance
