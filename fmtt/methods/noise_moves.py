"""Markov moves that leave ``N(z; 0, I) exp(-Phi(z))`` invariant. They do not get slower as the dimension grows.

A move proposes a point and computes the logarithm of its acceptance ratio. The proposals are reversible with respect to
the Gaussian part, so the acceptance depends on the potential Phi only (Cotter, Roberts, Stuart, White 2013). Inner
products are summed in float64.
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


class MetropolisMove(Protocol):
    """A Metropolis move. Its stride is adapted so that the acceptance rate becomes ``target``."""

    target: float
    uses_gradient: bool

    def propose(
        self, here: Point, temperature: Tensor, stride: Tensor, normal: Tensor, evaluate: Evaluate
    ) -> tuple[Point, Tensor]:
        """The proposed point, and the logarithm of its acceptance ratio, ``(G, N)`` in float64.

        Args:
            here: the current particles.
            temperature: ``Phi = -temperature value``, ``(G,)``.
            stride: size of the move in (0, 1], ``(G,)``. Towards 0 the particle stays; at 1, without a reward, its new
                position does not depend on the old one.
            normal: standard normals ``(G, N, *D)``.
            evaluate: computes the tilt at other positions.
        """
        ...


def inner(a: Tensor, b: Tensor) -> Tensor:
    """Inner products of the particles of ``a`` and ``b``, both ``(G, N, *D)``; ``(G, N)`` in float64."""
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

    ``v = ((2 - h) z - 2 h grad Phi + sqrt(8 h) w) / (2 + h)``. The stride is ``s = sqrt(8 h) / (2 + h)``: the
    coefficient of the new noise w, as in pCN.
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
    """Hamiltonian moves by a splitting: exact rotations for the Gaussian part, impulses of the momentum for the reward.

    A move has ``leaps`` leapfrog steps: half an impulse, a rotation of (z, p) by the angle ``s pi / (2 leaps)``, half
    an impulse. A stride of 1 is a quarter turn, which replaces z by new noise if there is no reward (Beskos et al.
    2011; Shahbaba et al. 2014).
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
    """The gradient of the whole tilt at ``at``, which must have been evaluated with its gradient."""
    assert at.tilt.gradient is not None
    return at.tilt.gradient


MOVES: dict[str, type[MetropolisMove]] = {
    "pcn": PreconditionedCrankNicolson,
    "pcnl": PreconditionedLangevin,
    "hmc": SplitHamiltonian,
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
