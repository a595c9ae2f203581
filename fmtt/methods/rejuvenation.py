"""What follows the weighing of a sweep in noise space: resampling, and Markov moves at the new temperature."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from fmtt.checks import whole_number
from fmtt.flow.noise import Noise
from fmtt.methods.noise_moves import Evaluate, MetropolisMove, Point, accept
from fmtt.smc.population import Population, normalised_weights, require_finite
from fmtt.smc.resampling import Resampler, uniforms
from fmtt.smc.selection import resample
from fmtt.tilt.tilt import TiltValue


class Moving(NamedTuple):
    """What the moves of a sweep need.

    Attributes:
        metropolis: the move.
        resampler: the scheme.
        evaluate: the whole tilt at other positions.
        noise: the keyed noise.
        temperature: the share of the tilt in force, ``(G,)``.
        stride: size of the moves, ``(G,)``.
        sweep: number of the sweep, counted from 0.
        wanted: the groups whose ESS is low, ``(G,)``.
        last: whether it is the last sweep.
    """

    metropolis: MetropolisMove
    resampler: Resampler
    evaluate: Evaluate
    noise: Noise
    temperature: Tensor
    stride: Tensor
    sweep: int
    wanted: Tensor
    last: bool

    def move(self, here: Point, number: int) -> tuple[Point, Tensor]:
        """The particles after the move with this number, and their mean acceptance probability ``(G,)``."""
        normal = self.noise.normal(here.z.shape[1:], number, "proposal").to(here.z.dtype)
        u = self.noise.uniform(here.z.shape[1:2], number, "acceptance")
        there, log_ratio = self.metropolis.propose(here, self.temperature, self.stride, normal, self.evaluate)
        found = {"the reward": there.tilt.reward, "the logarithm of an acceptance ratio": log_ratio}
        require_finite(found, self.sweep + 1, self.noise.groups)
        here, chance = accept(here, there, log_ratio, u)
        return here, chance.mean(1)


class Rejuvenated(NamedTuple):
    """A population after the moves of a sweep.

    Attributes:
        population: the particles.
        acceptance: mean acceptance probability, ``(G,)``.
        selected: the groups that were resampled, ``(G,)``.
    """

    population: Population
    acceptance: Tensor
    selected: Tensor


class Rejuvenation(Protocol):
    """A rule; the number of particles must be a multiple of ``block``."""

    @property
    def block(self) -> int: ...

    def evaluations(self, sweeps: int, particles: int) -> int:
        """Evaluations of the tilt of a group by moves of length one, with those of the start."""
        ...

    def __call__(self, population: Population, moving: Moving) -> Rejuvenated: ...


@dataclass(frozen=True)
class MoveAll:
    """Groups whose ESS is low are resampled; then every particle moves ``moves`` times."""

    moves: int
    block = 1

    def __post_init__(self) -> None:
        whole_number("mode.moves", self.moves, 1)

    def evaluations(self, sweeps: int, particles: int) -> int:
        return (1 + sweeps * self.moves) * particles

    def __call__(self, population: Population, moving: Moving) -> Rejuvenated:
        population = resample(population, moving.resampler, moving.wanted, moving.sweep + 1, moving.noise)
        here, chances = Point(population.x, population.tilt), []
        for number in range(moving.sweep * self.moves, (moving.sweep + 1) * self.moves):
            here, chance = moving.move(here, number)
            chances.append(chance)
        moved = replace(population, x=here.z, tilt=here.tilt)
        return Rejuvenated(moved, torch.stack(chances).mean(0), moving.wanted)


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

    def evaluations(self, sweeps: int, particles: int) -> int:
        return particles + (sweeps - 1) * (particles - particles // self.length)

    def __call__(self, population: Population, moving: Moving) -> Rejuvenated:
        if moving.last:
            still = torch.full_like(moving.stride, moving.metropolis.target)  # no move, so the stride stays
            return Rejuvenated(population, still, torch.zeros_like(moving.wanted))
        weights = normalised_weights(population.log_weights)
        u = moving.noise.uniform((uniforms(moving.resampler, weights.shape[1]),), moving.sweep + 1, "resampling")
        index = moving.resampler(weights, u, weights.shape[1] // self.length)
        drawn = population.take(index)
        here, chances = Point(drawn.x, drawn.tilt), []
        states = [here]
        for number in range(moving.sweep * (self.length - 1), (moving.sweep + 1) * (self.length - 1)):
            here, chance = moving.move(here, number)
            states.append(here)
            chances.append(chance)
        kept = replace(
            population.take(index.repeat(1, self.length)),
            x=torch.cat([state.z for state in states], dim=1),
            tilt=side_by_side([state.tilt for state in states]),
            log_weights=torch.zeros_like(population.log_weights),
            log_z=population.log_evidence,
        )
        return Rejuvenated(kept, torch.stack(chances).mean(0), torch.ones_like(moving.wanted))


def side_by_side(tilts: list[TiltValue]) -> TiltValue:
    """Tilts of several populations ``(G, M_k)`` as that of one, ``(G, sum M_k)``."""
    parts = zip(*tilts, strict=True)
    return TiltValue(*(None if part[0] is None else torch.cat(part, dim=1) for part in parts))  # type: ignore[arg-type]
