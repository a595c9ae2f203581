"""What happens to a population between two steps: nothing, resampling, or keeping and cloning the best.

A selection is called after every step but the last with the population, the number of the step just done, the
number of steps and the noise of the run; it returns the population and which groups were selected, ``(G,)``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from fmtt.noise import Noise
from fmtt.particles import Population, normalised_weights
from fmtt.resampling import Resampler
from fmtt.validation import fraction, whole_number


class Selection(Protocol):
    """A rule between steps."""

    def __call__(self, population: Population, step: int, steps: int, noise: Noise) -> tuple[Population, Tensor]: ...


@dataclass(frozen=True)
class KeepAll:
    """No selection."""

    def __call__(self, population: Population, step: int, steps: int, noise: Noise) -> tuple[Population, Tensor]:
        return population, torch.zeros(len(population.x), dtype=torch.bool, device=population.x.device)


@dataclass(frozen=True)
class ResampleOnEss:
    """Resample the groups whose ESS has fallen to ``threshold`` N or below; 0 is never, 1 is always."""

    threshold: float
    resampler: Resampler

    def __post_init__(self) -> None:
        fraction("mode.ess_threshold", self.threshold)

    def __call__(self, population: Population, step: int, steps: int, noise: Noise) -> tuple[Population, Tensor]:
        where = population.ess <= self.threshold
        return resample(population, self.resampler, where, step, noise), where


@dataclass(frozen=True)
class ResampleAtSteps:
    """Resample after each of the steps ``at``, counted from 1."""

    at: tuple[int, ...]
    resampler: Resampler

    def __call__(self, population: Population, step: int, steps: int, noise: Noise) -> tuple[Population, Tensor]:
        where = torch.full((len(population.x),), step in self.at, device=population.x.device)
        return (resample(population, self.resampler, where, step, noise) if step in self.at else population), where


def resample(population: Population, resampler: Resampler, where: Tensor, step: int, noise: Noise) -> Population:
    """Replace the groups ``where (G,)`` by their offspring; their weights become log Z."""
    particles = population.log_weights.shape[1]
    u = noise.uniform((2 * particles,), step, "resampling")
    return population.resampled(resampler(normalised_weights(population.log_weights), u, particles), where)


@dataclass(frozen=True)
class TopAndClone:
    """Search: at ``rounds`` evenly spread steps keep the ``keep`` best by tilt and clone them to fill the group.

    Weights play no part: this looks for maxima and is biased by design (arXiv 2511.22688, search mode). The steps
    are ``k = round((i + 1) K / (rounds + 1))``.
    """

    keep: int
    rounds: int

    def __post_init__(self) -> None:
        whole_number("mode.keep", self.keep, 1)
        whole_number("mode.rounds", self.rounds, 1)

    def __call__(self, population: Population, step: int, steps: int, noise: Noise) -> tuple[Population, Tensor]:
        groups, particles = population.log_weights.shape
        now = step in {round((i + 1) * steps / (self.rounds + 1)) for i in range(self.rounds)}
        where = torch.full((groups,), now, device=population.x.device)
        if not now:
            return population, where
        best = population.tilt.value.topk(min(self.keep, particles), dim=1).indices
        slots = torch.arange(particles, device=best.device) % best.shape[1]
        return population.take(best[:, slots]), where
