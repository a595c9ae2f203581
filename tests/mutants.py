"""Samplers with one mistake each. Every mistake is a small object put in place of a right one in a finished sampler."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from fmtt.flow.model import Velocity
from fmtt.flow.noise import Noise
from fmtt.flow.schedules import PowerEpsilon, RegularisedChi
from fmtt.methods.trajectory import Sampler
from fmtt.smc.population import Population
from fmtt.smc.selection import Selection
from fmtt.step.dynamics import Draws, Dynamics, Move
from fmtt.step.transport import FlowMapTransport, Step, Transport
from fmtt.step.weights import Increment, Jarzynski, Kernel, Material
from fmtt.tilt.tilt import Tilt, TiltValue
from tests.support import Setup

Mutation = Callable[[Sampler], Sampler]


# --- weights ---------------------------------------------------------------------------------------------------


class Flipped(Jarzynski):
    """The wrong sign."""

    def increment(self, step: Step, tilt: Tilt) -> Increment:
        return Increment(-super().increment(step, tilt).log_weights)


class Unchecked(Jarzynski):
    """Short weights for any look-ahead."""

    def check(self, look_ahead: object, guidance: object, epsilon: object, chi: object) -> None:
        pass


class WithoutQuadratic(Kernel):
    """Forgets ``eps dt |g|^2 / 4``."""

    def increment(self, step: Step, tilt: Tilt) -> Increment:
        right = super().increment(step, tilt)
        if step.guidance is None or step.epsilon == 0:
            return right
        square = step.guidance.flatten(2).square().sum(-1)
        return Increment(right.log_weights + step.epsilon * (step.t_next - step.t) / 4 * square)


@dataclass
class WrongVariance(Kernel):
    """Takes the variance of the step for ``factor`` times what it is."""

    factor: float

    def increment(self, step: Step, tilt: Tilt) -> Increment:
        return super().increment(step._replace(epsilon=step.epsilon * self.factor), tilt)


class WithoutChi(Jarzynski):
    """Takes the extra drift for none."""

    def increment(self, step: Step, tilt: Tilt) -> Increment:
        return super().increment(step._replace(chi=0.0), tilt)


class WithoutTime(Material):
    """``grad r_t . b`` without ``d_t``."""

    def increment(self, step: Step, tilt: Tilt) -> Increment:
        return super().increment(step._replace(before=step.before._replace(rate=0 * step.before.reward)), tilt)


class WithoutDrift(Material):
    """``d_t`` without ``grad r_t . b``."""

    def increment(self, step: Step, tilt: Tilt) -> Increment:
        return super().increment(step._replace(velocity=0 * step.x), tilt)


class WithoutLaplacian(Jarzynski):
    """``grad r_t . (s + grad r_t)`` alone."""

    def increment(self, step: Step, tilt: Tilt) -> Increment:
        right = super().increment(step, tilt)
        curvature = step.chi * (step.t_next - step.t) * tilt.laplacian(step.x, step.t, step.probes)
        return right._replace(log_weights=right.log_weights - curvature)


class WithoutScore(Jarzynski):
    """``grad r_t . grad r_t`` without ``grad r_t . s``."""

    def increment(self, step: Step, tilt: Tilt) -> Increment:
        return super().increment(step._replace(velocity=step.x / max(step.t, 1e-9)), tilt)


class KernelWithoutChi(Kernel):
    """Takes the extra drift for none."""

    def increment(self, step: Step, tilt: Tilt) -> Increment:
        return super().increment(step._replace(chi=0.0), tilt)


class Sooner(FlowMapTransport):
    """Measures the work where the step begins, before the kick."""

    def work(self, step: Step, tilt: Tilt) -> Tensor:
        return super().work(step._replace(after=step.before), tilt)


class Shorter(FlowMapTransport):
    """Stops a tenth of the way before the end of every step."""

    def move(
        self, kicked: Tensor, velocity: Tensor | None, times: tuple[float, float], chunk: int, draw: Tensor | None
    ) -> Tensor:
        return super().move(kicked, velocity, (times[0], times[0] + 0.9 * (times[1] - times[0])), chunk, draw)


class FlippedNoise(Kernel):
    """The wrong sign in the product of guidance and noise."""

    def increment(self, step: Step, tilt: Tilt) -> Increment:
        return super().increment(step if step.noise is None else step._replace(noise=-step.noise), tilt)


class Early(Jarzynski):
    """The reward before the move only, times the rise of the ramp in the step before."""

    def increment(self, step: Step, tilt: Tilt) -> Increment:
        dt = step.t_next - step.t
        return Increment((tilt.strength(step.t) - tilt.strength(max(step.t - dt, 0.0))) * step.before.reward)


def weights(wrong: Jarzynski | Kernel) -> Mutation:
    return lambda sampler: replace(sampler, dynamics=replace(sampler.dynamics, weights=wrong))


def transport(wrong: Callable[[Velocity], Transport]) -> Mutation:
    return lambda sampler: replace(sampler, dynamics=replace(sampler.dynamics, transport=wrong(sampler.dynamics.model)))


# --- move ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ScoreTimes(Dynamics):
    """The score of the move is multiplied by ``factor``; the difference to the right move is hidden in the noise."""

    factor: float = -1.0

    def step(
        self, x: Tensor, before: TiltValue, times: tuple[float, float, float | None], draws: Draws, asked: bool = True
    ) -> Move:
        t, t_next, _ = times
        epsilon = self.epsilon(t_next)
        if draws.noise is not None:
            score = -(x - t * self.velocity(x, t)) / (1 - t)
            noise = draws.noise + (self.factor - 1) * math.sqrt(epsilon * (t_next - t) / 2) * score
            draws = draws._replace(noise=noise)
        return super().step(x, before, times, draws, asked)


def score_times(factor: float) -> Mutation:
    def mutate(sampler: Sampler) -> Sampler:
        right = sampler.dynamics
        parts = {field.name: getattr(right, field.name) for field in fields(right)}
        return replace(sampler, dynamics=ScoreTimes(**parts, factor=factor))

    return mutate


@dataclass(frozen=True)
class Lagged:
    """``beta(t - lag)``."""

    ramp: Callable[[float], float]
    lag: float

    def __call__(self, t: float) -> float:
        return self.ramp(max(t - self.lag, 0.0))


def lagged_ramp(sampler: Sampler) -> Sampler:
    """The ramp one step late."""
    tilt = sampler.dynamics.tilt
    late = replace(tilt, ramp=Lagged(tilt.ramp, sampler.times[-1] - sampler.times[-2]))
    return replace(sampler, dynamics=replace(sampler.dynamics, tilt=late))


# --- selection -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Selected:
    """A selection whose result is altered by ``change(before, after, where)``."""

    right: Selection
    change: Callable[[Population, Population, Tensor], Population]

    def due(self, step: int, steps: int) -> bool:
        return self.right.due(step, steps)

    def __call__(self, population: Population, step: int, steps: int, noise: Noise) -> tuple[Population, Tensor]:
        after, where = self.right(population, step, steps, noise)
        return self.change(population, after, where), where


def selection(change: Callable[[Population, Population, Tensor], Population]) -> Mutation:
    return lambda sampler: replace(sampler, selection=Selected(sampler.selection, change))


def dropped_carry(before: Population, after: Population, where: Tensor) -> Population:
    """Weights forgotten where nothing was resampled."""
    return replace(after, log_weights=torch.zeros_like(after.log_weights))


def kept_weights(before: Population, after: Population, where: Tensor) -> Population:
    """Weights that a resampling has used up, used again."""
    return replace(after, log_weights=before.log_weights)


def forgotten_permutation(before: Population, after: Population, where: Tensor) -> Population:
    """Weights used up, particles left where they were."""
    return replace(after, x=before.x, tilt=before.tilt)


def forgotten_evidence(before: Population, after: Population, where: Tensor) -> Population:
    """log Z of the weights used up not kept."""
    return replace(after, log_z=before.log_z)


def stale(name: str) -> Mutation:
    """One cache of the tilt not permuted."""
    return selection(
        lambda before, after, where: replace(after, tilt=after.tilt._replace(**{name: getattr(before.tilt, name)}))
    )


def without_final_weights(population: Population) -> Population:
    """What is returned if the weights gathered since the last resampling are dropped at the end."""
    return replace(population, log_weights=torch.zeros_like(population.log_weights))


# --- setups ----------------------------------------------------------------------------------------------------

SHORT = Setup(weights="jarzynski")
RATIO = Setup(weights="kernel")
ALWAYS = Setup(weights="jarzynski", ess_threshold=1.0)
SHUFFLED = ALWAYS.but(resampler="multinomial", epsilon=PowerEpsilon(2.0), scale=2.0)  # offspring far from ancestors

ALONG = Setup(look_ahead="denoiser", weights="material")
MAPPED = SHORT.but(transport=FlowMapTransport, epsilon=PowerEpsilon(2.0))
DRIVEN = SHORT.but(chi=RegularisedChi())

MUTANTS: dict[str, tuple[Setup, Mutation]] = {
    "increment with the wrong sign": (SHORT, weights(Flipped())),
    "increment at the wrong end of the ramp": (SHORT, weights(Early())),
    "short weights for the denoiser": (Setup(look_ahead="denoiser", weights="material"), weights(Unchecked())),
    "short weights for no look-ahead": (Setup(look_ahead="none", weights="material"), weights(Unchecked())),
    "time left out of the derivative along the ODE": (ALONG, weights(WithoutTime())),
    "drift left out of the derivative along the ODE": (ALONG, weights(WithoutDrift())),
    "kernel without the quadratic term": (RATIO, weights(WithoutQuadratic())),
    "kernel with half the variance": (RATIO, weights(WrongVariance(0.5))),
    "kernel with twice the variance": (RATIO, weights(WrongVariance(2.0))),
    "kernel with the noise's sign flipped": (RATIO, weights(FlippedNoise())),
    "score with the wrong sign": (SHORT, score_times(-1.0)),
    "score left out": (SHORT, score_times(0.0)),
    "ramp one step late, short weights": (SHORT, lagged_ramp),
    "ramp one step late, kernel weights": (RATIO, lagged_ramp),
    "chi ignored, short weights": (DRIVEN, weights(WithoutChi())),
    "Laplacian left out": (DRIVEN, weights(WithoutLaplacian())),
    "score left out of the extra work": (DRIVEN, weights(WithoutScore())),
    "chi ignored, kernel weights": (DRIVEN.but(weights="kernel"), weights(KernelWithoutChi())),
    "work measured before the kick": (MAPPED, transport(Sooner)),
    "transport that ends too early": (MAPPED, transport(Shorter)),
    "carry dropped": (SHORT, selection(dropped_carry)),
    "weights used twice": (ALWAYS, selection(kept_weights)),
    "permutation forgotten": (ALWAYS, selection(forgotten_permutation)),
    "evidence forgotten": (ALWAYS, selection(forgotten_evidence)),
    "reward not permuted": (SHUFFLED, stale("reward")),
    "gradient not permuted": (SHUFFLED, stale("gradient")),
    "value not permuted": (SHUFFLED.but(weights="kernel"), stale("value")),
    "velocity not permuted": (SHUFFLED.but(weights="kernel", look_ahead="denoiser"), stale("velocity")),
    "rate not permuted": (SHUFFLED.but(weights="material", look_ahead="denoiser"), stale("rate")),
}
