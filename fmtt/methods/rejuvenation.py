"""What follows the weighing of a sweep in noise space: resampling, and Markov moves at the new temperature."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from fmtt.checks import whole_number
from fmtt.flow.noise import Noise
from fmtt.methods.noise_moves import Evaluate, Law, MetropolisMove, Point, accept
from fmtt.smc.population import Population, normalised_weights, require_finite
from fmtt.smc.resampling import Resampler, uniforms
from fmtt.smc.selection import resample
from fmtt.tilt.tilt import TiltValue

SHORTEST = 1e-3  # lower bound of the stride


class Moving(NamedTuple):
    """What the moves of a sweep need.

    Attributes:
        metropolis: the move.
        resampler: the scheme.
        evaluate: the whole tilt at other positions.
        noise: the keyed noise.
        law: what the moves leave invariant, at the new temperature.
        stride: size of the first move, ``(G,)``.
        adapt: rate at which the logarithm of the stride follows the acceptance, from move to move.
        sweep: number of the sweep, counted from 0.
        wanted: the groups whose ESS is low, ``(G,)``.
        last: whether it is the last sweep.
    """

    metropolis: MetropolisMove
    resampler: Resampler
    evaluate: Evaluate
    noise: Noise
    law: Law
    stride: Tensor
    adapt: float
    sweep: int
    wanted: Tensor
    last: bool

    def moves(self, here: Point, numbers: range) -> Iterator[Moved]:
        """The particles after each of the moves with these numbers; the stride follows the acceptance."""
        moving = self
        for number in numbers:
            here, acceptance = moving.move(here, number)
            stride = moving.stride * (self.adapt * (acceptance - self.metropolis.target)).exp()
            moving = moving._replace(stride=stride.clamp(SHORTEST, 1.0))
            yield Moved(here, acceptance, moving.stride)

    def move(self, here: Point, number: int) -> tuple[Point, Tensor]:
        """The particles after the move with this number, and their mean acceptance probability ``(G,)``."""
        normal = self.noise.normal(here.z.shape[1:], number, "proposal").to(here.z.dtype)
        u = self.noise.uniform(here.z.shape[1:2], number, "acceptance")
        there, log_ratio = self.metropolis.propose(here, self.law, self.stride, normal, self.evaluate)
        found = {"the reward": there.tilt.reward, "the logarithm of an acceptance ratio": log_ratio}
        require_finite(found, self.sweep + 1, self.noise.groups)
        here, chance = accept(here, there, log_ratio, u)
        return here, chance.mean(1)


class Moved(NamedTuple):
    """The particles after a move, their mean acceptance probability and the next stride, ``(G,)`` both."""

    here: Point
    acceptance: Tensor
    stride: Tensor


class Rejuvenated(NamedTuple):
    """A population after the moves of a sweep.

    Attributes:
        population: the particles.
        acceptance: mean acceptance probability, ``(G,)``; NaN where nothing moved.
        stride: size of the next move, ``(G,)``.
        selected: the groups that were resampled, ``(G,)``.
    """

    population: Population
    acceptance: Tensor
    stride: Tensor
    selected: Tensor


class Rejuvenation(Protocol):
    """A rule; the number of particles must be a multiple of ``block``."""

    @property
    def block(self) -> int: ...

    def evaluations(self, sweeps: int, particles: int, leaps: int) -> int:
        """Evaluations of the tilt of a group by moves of so many ``leaps``, with those of the start."""
        ...

    def moves_in(self, sweeps: int) -> bool:
        """Whether anything moves in so many sweeps."""
        ...

    def __call__(self, population: Population, moving: Moving) -> Rejuvenated: ...


@dataclass(frozen=True)
class MoveAll:
    """Groups whose ESS is low are resampled; then every particle moves ``moves`` times."""

    moves: int
    block = 1

    def __post_init__(self) -> None:
        whole_number("mode.moves", self.moves, 1)

    def evaluations(self, sweeps: int, particles: int, leaps: int) -> int:
        return (1 + sweeps * self.moves * leaps) * particles

    def moves_in(self, sweeps: int) -> bool:
        return sweeps > 0

    def __call__(self, population: Population, moving: Moving) -> Rejuvenated:
        population = resample(population, moving.resampler, moving.wanted, moving.sweep + 1, moving.noise)
        numbers = range(moving.sweep * self.moves, (moving.sweep + 1) * self.moves)
        moved = list(moving.moves(Point(population.x, population.tilt), numbers))
        here, acceptance = moved[-1].here, torch.stack([one.acceptance for one in moved]).mean(0)
        population = replace(population, x=here.z, tilt=here.tilt)
        return Rejuvenated(population, acceptance, moved[-1].stride, moving.wanted)


@dataclass(frozen=True)
class KeepChains:
    """Waste-free SMC (Dau, Chopin 2022): ``N / length`` particles are drawn, and all states of their chains are kept.

    A chain has ``length`` states, so that the new population costs as much as one move of every particle, and each
    chain moves ``length - 1`` times. All groups are resampled in every sweep but the last, after which nothing moves.
    """

    length: int

    def __post_init__(self) -> None:
        whole_number("mode.chain", self.length, 2)

    @property
    def block(self) -> int:
        return self.length

    def evaluations(self, sweeps: int, particles: int, leaps: int) -> int:
        return particles + (sweeps - 1) * (particles - particles // self.length) * leaps

    def moves_in(self, sweeps: int) -> bool:
        return sweeps > 1

    def __call__(self, population: Population, moving: Moving) -> Rejuvenated:
        if moving.last:
            unknown = torch.full_like(moving.stride, torch.nan)
            return Rejuvenated(population, unknown, moving.stride, torch.zeros_like(moving.wanted))
        weights = normalised_weights(population.log_weights)
        u = moving.noise.uniform((uniforms(moving.resampler, weights.shape[1]),), moving.sweep + 1, "resampling")
        index = moving.resampler(weights, u, weights.shape[1] // self.length)
        drawn = population.take(index)
        begun = Point(drawn.x, drawn.tilt)
        moved = list(
            moving.moves(begun, range(moving.sweep * (self.length - 1), (moving.sweep + 1) * (self.length - 1)))
        )
        states = [begun, *(one.here for one in moved)]
        kept = replace(
            population.take(index.repeat(1, self.length)),
            x=torch.cat([state.z for state in states], dim=1),
            tilt=side_by_side([state.tilt for state in states]),
            log_weights=torch.zeros_like(population.log_weights),
            log_z=population.log_evidence,
        )
        acceptance = torch.stack([one.acceptance for one in moved]).mean(0)
        return Rejuvenated(kept, acceptance, moved[-1].stride, torch.ones_like(moving.wanted))


def side_by_side(tilts: list[TiltValue]) -> TiltValue:
    """Tilts of several populations ``(G, M_k)`` as that of one, ``(G, sum M_k)``."""
    parts = zip(*tilts, strict=True)
    return TiltValue(*(None if part[0] is None else torch.cat(part, dim=1) for part in parts))  # type: ignore[arg-type]
