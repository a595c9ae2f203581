"""Runs in the space of the noise with one mistake each: in the ratio that decides on a move, in the weights and their
temperatures, in what resampling permutes and keeps, or in what is returned. Mistakes of selection are those of
:mod:`tests.mutants`, made in the resampling of a sweep.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import pytest
import torch
from torch import Tensor

from fmtt.flow.noise import Noise
from fmtt.methods import rejuvenation as module
from fmtt.methods.loop import Info, State
from fmtt.methods.noise_moves import Law, MetropolisMove, Point
from fmtt.methods.noise_smc import AnnealedState, NoiseAnnealing
from fmtt.methods.rejuvenation import Moving, Rejuvenated
from fmtt.smc.population import Population
from fmtt.smc.resampling import Resampler
from fmtt.smc.selection import Selection
from fmtt.tilt.tilt import TiltValue
from tests import mutants
from tests.methods.noise_space import FIXED, Annealed

Mutation = Callable[[NoiseAnnealing, pytest.MonkeyPatch], NoiseAnnealing]


# --- ratios ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Altered:
    """A move whose ratio is replaced by ``change(ratio, here, there, law)``."""

    right: MetropolisMove
    change: Callable[[Tensor, Point, Point, Law], Tensor]

    @property
    def leaps(self) -> int:
        return self.right.leaps

    @property
    def target(self) -> float:
        return self.right.target

    @property
    def uses_gradient(self) -> bool:
        return self.right.uses_gradient

    def propose(
        self, here: Point, law: Law, stride: Tensor, normal: Tensor, evaluate: Callable[[Tensor], TiltValue]
    ) -> tuple[Point, Tensor]:
        there, log_ratio = self.right.propose(here, law, stride, normal, evaluate)
        return there, self.change(log_ratio, here, there, law)


def always(log_ratio: Tensor, here: Point, there: Point, law: Law) -> Tensor:
    return torch.zeros_like(log_ratio)


def reversed_sign(log_ratio: Tensor, here: Point, there: Point, law: Law) -> Tensor:
    return -log_ratio


def without_gradients(log_ratio: Tensor, here: Point, there: Point, law: Law) -> Tensor:
    """The ratio of pCN, for a proposal that is not pCN's."""
    return law.temperature[:, None] * (there.tilt.value - here.tilt.value)


def unaltered(log_ratio: Tensor, here: Point, there: Point, law: Law) -> Tensor:
    return log_ratio


def ratio(change: Callable[[Tensor, Point, Point, Law], Tensor]) -> Mutation:
    def mutate(loop: NoiseAnnealing, patch: object) -> NoiseAnnealing:
        rule = replace(loop.rule)
        rule.__dict__["metropolis"] = Altered(loop.rule.metropolis, change)
        return replace(loop, rule=rule)

    return mutate


# --- weights and temperatures ----------------------------------------------------------------------------------


class Unweighted(NoiseAnnealing):
    """Increments dropped: moves alone follow the temperature."""

    def step(self, state: State) -> tuple[AnnealedState, Info]:
        tilt = state.population.tilt
        blind = replace(state.population, tilt=tilt._replace(value=torch.zeros_like(tilt.value)))
        return super().step(replace(state, population=blind))

    def rejuvenated(self, population: Population, moving: Moving) -> Rejuvenated:
        return super().rejuvenated(replace(population, tilt=self.evaluate(population.x)), moving)


class LateMoves(NoiseAnnealing):
    """Moves at the temperature of the sweep before."""

    def rejuvenated(self, population: Population, moving: Moving) -> Rejuvenated:
        late = torch.full_like(moving.law.temperature, (0.0, *self.rule.temperatures)[moving.sweep])
        return super().rejuvenated(population, moving._replace(law=Law(late)))


class LateIncrements(NoiseAnnealing):
    """Weights and moves at the temperature of the sweep before, so that the last is never reached."""

    def next_temperature(self, state: AnnealedState) -> Tensor:
        return torch.full_like(state.temperature, (0.0, *self.rule.temperatures)[state.step])


class Unmutated(NoiseAnnealing):
    """Nothing is wrong."""


def kind(mutant: type[NoiseAnnealing]) -> Mutation:
    return lambda loop, patch: mutant(**{field.name: getattr(loop, field.name) for field in fields(loop)})


# --- resampling ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Selecting:
    """As much of a loop as a mutation of its selection needs."""

    selection: Selection | None = None


def resampling(mutation: mutants.Mutation) -> Mutation:
    """What ``mutation`` does to the result of a loop's selection, done to that of resampling."""
    change = mutation(Selecting()).selection.change

    def mutate(loop: NoiseAnnealing, patch: pytest.MonkeyPatch) -> NoiseAnnealing:
        right = module.resample

        def wrong(population: Population, resampler: Resampler, where: Tensor, step: int, draws: Noise) -> Population:
            return change(population, right(population, resampler, where, step, draws), where)

        patch.setattr(module, "resample", wrong)
        return loop

    return mutate


# --- setups ----------------------------------------------------------------------------------------------------

STEEP = FIXED.but(scale=4.0, stride=0.9, moves=2, seed=40)
SWINGING = STEEP.but(move="hmc", scale=8.0, stride=1.0)
SHUFFLED = FIXED.but(resampler="multinomial", scale=3.0, stride=0.9, ess_threshold=0.99, seed=41)

MUTANTS: dict[str, tuple[Annealed, Mutation]] = {
    "pcn accepts always": (STEEP.but(move="pcn"), ratio(always)),
    "pcnl accepts always": (STEEP, ratio(always)),
    "hmc accepts always": (SWINGING, ratio(always)),
    "pcn ratio with the wrong sign": (STEEP.but(move="pcn"), ratio(reversed_sign)),
    "pcnl ratio with the wrong sign": (STEEP, ratio(reversed_sign)),
    "hmc ratio with the wrong sign": (SWINGING, ratio(reversed_sign)),
    "pcnl ratio without gradients": (STEEP, ratio(without_gradients)),
    "hmc ratio without kinetic energy": (SWINGING, ratio(without_gradients)),
    "increments dropped": (FIXED, kind(Unweighted)),
    "moves one temperature late": (FIXED.but(scale=2.0, moves=3), kind(LateMoves)),
    "temperature one sweep late": (FIXED, kind(LateIncrements)),
    "value not permuted": (SHUFFLED, resampling(mutants.stale("value"))),
    "value not permuted, without gradient": (SHUFFLED.but(move="pcn"), resampling(mutants.stale("value"))),
    "gradient not permuted": (SHUFFLED, resampling(mutants.stale("gradient"))),
    "gradient not permuted, hmc": (SHUFFLED.but(move="hmc"), resampling(mutants.stale("gradient"))),
    "sample not permuted": (SHUFFLED.but(move="pcn"), resampling(mutants.stale("sample"))),
    "permutation forgotten": (SHUFFLED, resampling(mutants.selection(mutants.forgotten_permutation))),
    "carry dropped": (FIXED.but(ess_threshold=0.1), resampling(mutants.selection(mutants.dropped_carry))),
    "weights used twice": (SHUFFLED, resampling(mutants.selection(mutants.kept_weights))),
    "evidence forgotten": (SHUFFLED, resampling(mutants.selection(mutants.forgotten_evidence))),
    "noise returned for samples": (FIXED, lambda loop, patch: replace(loop, lands=False)),
}
