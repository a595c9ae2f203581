"""Shared support for runs in the space of the noise: how one is set up, and chains of moves whose law is known. The
generator of ``GAUSSIAN`` is affine, ``X(z) = m + sigma z``, so that noise tilted by a quadratic reward is Gaussian with
a mean and a covariance that are written out here. The mixture's generator is solved so finely that its error is below
.02 standard errors. Nothing has a time step, so that the threshold of 4 is one on the statistics everywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from fmtt import api as engine
from fmtt.flow import noise
from fmtt.flow.batches import Batches
from fmtt.flow.schedules import RampFrom
from fmtt.methods.noise_moves import MOVES, Law, MetropolisMove, Point, accept
from fmtt.methods.noise_smc import AnnealedState, NoiseAnnealing, noise_smc
from fmtt.models.analytic import MixtureLaw
from fmtt.tilt.look_ahead import FlowMapJumps
from fmtt.tilt.tilt import Tilt, TiltValue
from tests.support import GAUSSIAN, LOOK_AHEADS, MODELS, REWARDS, Setup, standardised, worst

EACH_MOVE = pytest.mark.parametrize("move", MOVES)
FINE = "mixture with a fine map"
Reward = Callable[[Tensor], Tensor]
double = partial(torch.tensor, dtype=torch.float64)


# --- runs ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Annealed(Setup):
    """A run in noise space; temperatures are fixed and nothing adapts, so that Z is unbiased."""

    move: str = "pcnl"
    moves: int = 1
    chain: int = 1
    temperatures: tuple[float, ...] = (0.15, 0.4, 0.7, 1.0)
    stride: float = 0.5
    adapt: float = 0.0
    steps: int = 4
    groups: int = 256
    particles: int = 64
    ess_threshold: float = 0.5
    reference: str = "prior"

    def loop(self, reward: Reward | None = None) -> NoiseAnnealing:
        mode = partial(
            noise_smc, move=self.move, moves=self.moves, chain=self.chain, ess_threshold=self.ess_threshold,
            resampler=self.resampler, temperatures=self.temperatures, stride=self.stride, adapt=self.adapt,
            reference=self.reference,
        )  # fmt: skip
        run = engine.assemble(
            MODELS[self.model], reward or REWARDS[self.reward], look_ahead=LOOK_AHEADS[self.look_ahead], mode=mode,
            scale=self.scale, steps=self.steps, epsilon=self.epsilon, groups=self.groups, particles=self.particles,
            chunk=self.chunk, seed=self.seed,
        )  # fmt: skip
        assert isinstance(run.loop, NoiseAnnealing)
        return run.loop


FIXED = Annealed()
ADAPTIVE = Annealed(temperatures=(), adapt=1.0, reference="fitted", steps=8)
SMALL = ADAPTIVE.but(model="mixture", groups=3, particles=16, scale=3.0, seed=11)


def evenly(sweeps: int) -> tuple[float, ...]:
    return tuple((k + 1) / sweeps for k in range(sweeps))


def end(loop: NoiseAnnealing) -> AnnealedState:
    state = loop.last()
    assert isinstance(state, AnnealedState)
    return state


def found(setup: Annealed) -> float:
    """The largest deviation of a run from its closed form, in standard errors."""
    return worst(end(setup.loop()).population, setup.truth())


def tilted(law: MixtureLaw, setup: Setup) -> tuple[MixtureLaw, Tensor]:
    """``law`` tilted by the reward of ``setup``, and log Z."""
    return law.tilted(*(setup.scale * part for part in REWARDS[setup.reward].quadratic_form(2)))


# --- chains of moves -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Slanted:
    """``r(x) = -x.P x / 2 + l.x`` with P not diagonal, so that coordinates of the tilted noise are correlated."""

    precision: tuple[tuple[float, float], tuple[float, float]] = ((3.0, -1.4), (-1.4, 1.0))
    slope: tuple[float, float] = (1.1, -0.7)

    def __call__(self, x: Tensor) -> Tensor:
        matrix, slope = (torch.tensor(values, dtype=x.dtype) for values in (self.precision, self.slope))
        return -0.5 * ((x @ matrix) * x).sum(1) + x @ slope

    def tilted_noise(self, strength: float) -> tuple[Tensor, Tensor]:
        """Mean and covariance of ``N(z; 0, I) exp(strength r(m + sigma z))``, ``(d,)`` and ``(d, d)``."""
        matrix, slope = (double(values) for values in (self.precision, self.slope))
        spread = torch.diag(GAUSSIAN.std)
        covariance = torch.linalg.inv(torch.eye(2).double() + strength * spread @ matrix @ spread)
        return covariance @ (strength * spread @ (slope - matrix @ GAUSSIAN.mean)), covariance

    def value_and_gradient(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """``r(m + sigma z)`` and its gradient in z, written out."""
        matrix, slope = (double(values) for values in (self.precision, self.slope))
        x = GAUSSIAN.mean + GAUSSIAN.std * z
        value = -0.5 * torch.einsum("...i,ij,...j->...", x, matrix, x) + x @ slope
        return value, GAUSSIAN.std * (slope - x @ matrix)


SLANTED = Slanted()
SHIFT = Slanted(((0.0, 0.0), (0.0, 0.0)), REWARDS["linear"].direction)  # moves the noise, and leaves its shape
STRIDES, TEMPERS = (0.35, 0.7, 0.95), (1.0, 0.4)
CHAIN_GROUPS, CHAIN_PARTICLES, CHAIN_MOVES, STEEPNESS = 384, 100, 25, 3.0


class Chained(NamedTuple):
    """What many moves from the exact law leave: the largest deviation in standard errors and the lowest acceptance."""

    score: float
    acceptance: float


def evaluator(model: str, reward: Reward, scale: float) -> Callable[[Tensor], TiltValue]:
    look_ahead = partial(FlowMapJumps, steps=1)
    tilt = Tilt(MODELS[model], look_ahead, reward, scale, RampFrom(1.0), Batches(1_000_000))
    return lambda z: tilt.evaluate(z, 0.0, gradient=True)


def steps_of(move: MetropolisMove, z: Tensor, law: Law, stride: Tensor, evaluate: Callable, count: int) -> tuple:
    """The particles after ``count`` moves, and the mean acceptance of each group."""
    here, chances = Point(z, evaluate(z)), []
    for k in range(count):
        normal, u = noise.normal(z.shape, 5, k, "proposal"), noise.uniform(z.shape[:2], 5, k, "acceptance")
        here, chance = accept(here, *move.propose(here, law, stride, normal.to(z.dtype), evaluate), u)
        chances.append(chance.mean(1))
    return here, torch.stack(chances).mean(0)


def law_of(temperature: Tensor, scale: tuple[float, float] | None) -> Law:
    """The law of all groups, seen from a reference with standard deviations ``scale``."""
    return Law(temperature, None if scale is None else torch.tensor(scale).expand(len(temperature), 2))


def chained(move: MetropolisMove, reward: Slanted, scale: tuple[float, float] | None = None) -> Chained:
    """Means, variances and the cross term for each stride and temperature; groups that share neither stand apart."""
    group = torch.arange(CHAIN_GROUPS)
    stride = double(STRIDES)[group % 3]
    temperature = double(TEMPERS)[group % 2]
    mean, covariance = zip(*(reward.tilted_noise(STEEPNESS * TEMPERS[g % 2]) for g in range(CHAIN_GROUPS)), strict=True)
    mean, covariance = torch.stack(mean), torch.stack(covariance)
    xi = noise.normal((CHAIN_GROUPS, CHAIN_PARTICLES, 2), 3, "exact draws").double()
    z = mean[:, None] + xi @ torch.linalg.cholesky(covariance).mT
    evaluate = evaluator("gaussian", reward, STEEPNESS)
    here, acceptance = steps_of(move, z.float(), law_of(temperature, scale), stride, evaluate, CHAIN_MOVES)
    offset = here.z.double() - mean[:, None]
    products = torch.einsum("gni,gnj->gij", offset, offset) / CHAIN_PARTICLES - covariance
    errors = torch.cat([offset.mean(1), products.flatten(1)[:, [0, 1, 3]]], dim=1)
    scores = [abs(standardised(errors[group % 6 == kind, k])) for kind in range(6) for k in range(errors.shape[1])]
    return Chained(max(scores), acceptance.min().item())


def mixture_chained(move: MetropolisMove, stride: float, scale: tuple[float, float] | None = None) -> Chained:
    """From exact draws of the tilted mixture, taken back to noise; nothing is Gaussian here."""
    law, _ = tilted(MODELS[FINE].law, Setup(scale=2.0))
    ones = torch.ones(64 * 100).double()
    z = MODELS[FINE].flow_map(law.sample(len(ones), 3), ones, 0 * ones).reshape(64, 100, 2)
    evaluate = evaluator(FINE, REWARDS["quadratic"], 2.0)
    one = torch.ones(64).double()
    here, acceptance = steps_of(move, z.float(), law_of(one, scale), stride * one, evaluate, 4)
    scores = [abs(standardised(values)) for values in moments_of(here.tilt.sample, law)]
    return Chained(max(scores), acceptance.max().item())


def moments_of(x: Tensor, law: MixtureLaw) -> list[Tensor]:
    """Deviations in every group of mean, second moment and ``E[x_0 x_1]``, ``(G,)`` each."""
    x = x.double()
    components = law.log_weights.exp()
    cross = (components * law.means[:, 0] * law.means[:, 1]).sum()
    first, second = (x.mean(1) - law.mean).unbind(1), (x.square().mean(1) - law.second_moment).unbind(1)
    return [*first, *second, (x[..., 0] * x[..., 1]).mean(1) - cross]
