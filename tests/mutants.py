"""Samplers with one mistake each. Every mistake is a small object put in place of a right one in a finished sampler."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from fmtt.flow.noise import Noise
from fmtt.flow.schedules import PowerEpsilon, RegularisedChi
from fmtt.methods.trajectory import Trajectory
from fmtt.smc.population import Population
from fmtt.smc.selection import Replaces, Selection
from fmtt.step.transport import FlowMapTransport
from tests.support import Setup
from tests.wrong_steps import (
    MeasuredSooner,
    Mutation,
    Shorter,
    early,
    flipped,
    flipped_noise,
    gap,
    lagged_ramp,
    score_times,
    short_anyway,
    transport,
    weights,
    without_chi,
    without_drift,
    without_laplacian,
    without_quadratic,
    without_score,
    without_time,
    wrong_variance,
)

# --- selection -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Selected(Replaces):
    """A selection whose result is altered by ``change(before, after, where)``."""

    right: Selection
    change: Callable[[Population, Population, Tensor], Population]
    block, min_particles, multinomial, acts, draws_by_value = 1, 1, False, True, False

    def due(self, step: int, steps: int) -> bool:
        return self.right.due(step, steps)

    def __call__(self, population: Population, step: int, steps: int, noise: Noise) -> tuple[Population, Tensor]:
        after, where = self.right(population, step, steps, noise)
        return self.change(population, after, where), where


def selection(change: Callable[[Population, Population, Tensor], Population]) -> Mutation:
    return lambda loop: replace(loop, selection=Selected(loop.selection, change))


def dropped_carry(before: Population, after: Population, where: Tensor) -> Population:
    """Weights forgotten where nothing was resampled."""
    return replace(after, log_weights=torch.zeros_like(after.log_weights))


def kept_weights(before: Population, after: Population, where: Tensor) -> Population:
    """Weights that a resampling has used up, used again."""
    return replace(after, log_weights=before.log_weights)


def forgotten_permutation(before: Population, after: Population, where: Tensor) -> Population:
    """Weights used up, particles left where they were."""
    return replace(after, x=before.x, tilt=before.tilt, path=before.path)


def forgotten_evidence(before: Population, after: Population, where: Tensor) -> Population:
    """log Z of the weights used up not kept."""
    return replace(after, log_z=before.log_z)


def stale(name: str) -> Mutation:
    """One cache of the tilt not permuted."""
    return selection(
        lambda before, after, where: replace(after, tilt=after.tilt._replace(**{name: getattr(before.tilt, name)}))
    )


def stale_path(loop: Trajectory) -> Trajectory:
    """The value that the weights of a path have followed, not permuted."""
    return selection(lambda before, after, where: replace(after, path=before.path))(loop)


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
    "increment with the wrong sign": (SHORT, weights(flipped)),
    "increment at the wrong end of the ramp": (SHORT, weights(early)),
    "short weights for the denoiser": (Setup(look_ahead="denoiser", weights="material"), short_anyway),
    "short weights for no look-ahead": (Setup(look_ahead="none", weights="material"), short_anyway),
    "time left out of the derivative along the ODE": (ALONG, gap(without_time)),
    "drift left out of the derivative along the ODE": (ALONG, gap(without_drift)),
    "kernel without the quadratic term": (RATIO, weights(without_quadratic)),
    "kernel with half the variance": (RATIO, weights(wrong_variance(0.5))),
    "kernel with twice the variance": (RATIO, weights(wrong_variance(2.0))),
    "kernel with the noise's sign flipped": (RATIO, weights(flipped_noise)),
    "score with the wrong sign": (SHORT, score_times(-1.0)),
    "score left out": (SHORT, score_times(0.0)),
    "ramp one step late, short weights": (SHORT, lagged_ramp),
    "ramp one step late, kernel weights": (RATIO, lagged_ramp),
    "chi ignored, short weights": (DRIVEN, weights(without_chi)),
    "Laplacian left out": (DRIVEN, weights(without_laplacian)),
    "score left out of the extra work": (DRIVEN, weights(without_score)),
    "chi ignored, kernel weights": (DRIVEN.but(weights="kernel"), weights(without_chi)),
    "work measured before the kick": (MAPPED, transport(MeasuredSooner)),
    "transport that ends too early": (MAPPED, transport(Shorter)),
    "carry dropped": (SHORT, selection(dropped_carry)),
    "weights used twice": (ALWAYS, selection(kept_weights)),
    "permutation forgotten": (ALWAYS, selection(forgotten_permutation)),
    "evidence forgotten": (ALWAYS, selection(forgotten_evidence)),
    "reward not permuted": (SHUFFLED, stale("reward")),
    "gradient not permuted": (SHUFFLED, stale("gradient")),
    "path value not permuted": (SHUFFLED.but(weights="kernel"), stale_path),
    "velocity not permuted": (SHUFFLED.but(weights="kernel", look_ahead="denoiser"), stale("velocity")),
    "rate not permuted": (SHUFFLED.but(weights="material", look_ahead="denoiser"), stale("rate")),
}
