"""Markov moves that leave ``N(z; 0, I) exp(-Phi(z))`` invariant, and that do not get slower with the dimension.

Each proposes a point and says how likely it is to be accepted; they are reversible with respect to the Gaussian part,
so that only the potential Phi decides (Cotter, Roberts, Stuart, White 2013). Inner products are summed in float64.
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
    """Particles ``z (G, N, *D)`` with what is known there.

    Attributes:
        z: positions.
        tilt: the whole tilt, ``value = -Phi`` at temperature 1, and its gradient if the move uses it.
    """

    z: Tensor
    tilt: TiltValue


Evaluate = Callable[[Tensor], TiltValue]


class MetropolisMove(Protocol):
    """A Metropolis move; ``target`` is the acceptance rate to which its stride is adapted."""

    target: float
    uses_gradient: bool

    def propose(
        self, here: Point, temperature: Tensor, stride: Tensor, normal: Tensor, evaluate: Evaluate
    ) -> tuple[Point, Tensor]:
        """The proposed point, and the logarithm of the ratio that decides on it, ``(G, N)`` in float64.

        Args:
            here: where the particles are.
            temperature: ``Phi = -temperature value``, ``(G,)``.
            stride: size of the move in (0, 1), ``(G,)``: 0 stays, 1 forgets where it was.
            normal: standard normals ``(G, N, *D)``.
            evaluate: the tilt at other positions.
        """
        ...


def inner(a: Tensor, b: Tensor) -> Tensor:
    """Inner products of particles; ``(G, N, *D)`` twice to ``(G, N)`` in float64."""
    return (a.flatten(2).double() * b.flatten(2).double()).sum(-1)


@dataclass(frozen=True)
class PreconditionedCrankNicolson:
    """pCN: ``v = sqrt(1 - s^2) z + s w``, without gradients; accepted by ``exp(Phi(z) - Phi(v))``."""

    target = 0.3
    uses_gradient = False

    def propose(
        self, here: Point, temperature: Tensor, stride: Tensor, normal: Tensor, evaluate: Evaluate
    ) -> tuple[Point, Tensor]:
        v = columns((1 - stride**2).sqrt(), here.z) * here.z + columns(stride, here.z) * normal
        tilt = evaluate(v)
        return Point(v, tilt), temperature[:, None] * (tilt.value - here.tilt.value)


@dataclass(frozen=True)
class PreconditionedLangevin:
    """pCNL: a semi-implicit Langevin step, with one gradient.

    ``v = ((2 - h) z - 2 h grad Phi + sqrt(8 h) w) / (2 + h)``. The stride s stands for ``sqrt(8 h) / (2 + h)``, the
    share of new noise in v, as for pCN.
    """

    target = 0.57
    uses_gradient = True

    def propose(
        self, here: Point, temperature: Tensor, stride: Tensor, normal: Tensor, evaluate: Evaluate
    ) -> tuple[Point, Tensor]:
        h = 2 * (1 - (1 - stride**2).sqrt()) / (1 + (1 - stride**2).sqrt())
        wide = columns(h, here.z)
        force = columns(temperature, here.z) * gradient(here)  # -grad Phi
        v = ((2 - wide) * here.z + 2 * wide * force + (8 * wide).sqrt() * normal) / (2 + wide)
        there = Point(v, evaluate(v))
        return there, self._rho(here, there, temperature, h) - self._rho(there, here, temperature, h)

    def _rho(self, at: Point, to: Point, temperature: Tensor, h: Tensor) -> Tensor:
        slope = -columns(temperature, at.z) * gradient(at)
        quarter = (h / 4)[:, None]
        return (
            -temperature[:, None] * at.tilt.value
            + inner(to.z - at.z, slope) / 2
            + quarter * (inner(at.z + to.z, slope) + inner(slope, slope))
        )


@dataclass(frozen=True)
class SplitHamiltonian:
    """Hamiltonian moves that follow the Gaussian part exactly, by rotations, and the reward by impulses.

    ``leaps`` impulses of the momentum with rotations of (z, p) by the angle ``s pi / (2 leaps)`` between them, so that
    a stride of 1 is a quarter turn: z is replaced by fresh noise where there is no reward (Beskos et al. 2011;
    Shahbaba et al. 2014).
    """

    leaps: int = 3
    target = 0.65
    uses_gradient = True

    def __post_init__(self) -> None:
        whole_number("mode.leaps", self.leaps, 1)

    def propose(
        self, here: Point, temperature: Tensor, stride: Tensor, normal: Tensor, evaluate: Evaluate
    ) -> tuple[Point, Tensor]:
        angle = columns(stride, here.z) * (math.pi / (2 * self.leaps))
        cos, sin, heat = angle.cos(), angle.sin(), columns(temperature, here.z)
        energy = inner(normal, normal) / 2 + inner(here.z, here.z) / 2 - temperature[:, None] * here.tilt.value
        at, p = here, normal
        for _ in range(self.leaps):
            p = p + angle / 2 * heat * gradient(at)
            z, p = cos * at.z + sin * p, cos * p - sin * at.z
            at = Point(z, evaluate(z))
            p = p + angle / 2 * heat * gradient(at)
        after = inner(p, p) / 2 + inner(at.z, at.z) / 2 - temperature[:, None] * at.tilt.value
        return at, energy - after


def gradient(at: Point) -> Tensor:
    """The gradient of the whole tilt at a point where it was asked for."""
    assert at.tilt.gradient is not None
    return at.tilt.gradient


MOVES: dict[str, type[MetropolisMove]] = {
    "pcn": PreconditionedCrankNicolson,
    "pcnl": PreconditionedLangevin,
    "hmc": SplitHamiltonian,
}


def accept(here: Point, there: Point, log_ratio: Tensor, u: Tensor) -> tuple[Point, Tensor]:
    """Each particle at the proposed point with probability ``min(1, e^log_ratio)``; and these chances, ``(G, N)``."""
    chance = log_ratio.clamp_max(0.0).exp()
    taken = u < chance

    def pick(new: Tensor, old: Tensor) -> Tensor:
        return torch.where(columns(taken, new), new, old)

    pairs = zip(there.tilt, here.tilt, strict=True)
    tilt = TiltValue(*(None if new is None or old is None else pick(new, old) for new, old in pairs))  # type: ignore
    return Point(pick(there.z, here.z), tilt), chance
