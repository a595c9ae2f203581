"""What happens to a population between two steps: nothing, resampling, or keeping and cloning the best.

A selection is called after every step but the last with the population, the number of the step just done, the
number of steps and the noise of the run; it returns the population and which groups were selected, ``(G,)``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from fmtt.checks import fraction, whole_number
from fmtt.flow.noise import Noise
from fmtt.smc.population import Population, normalised_weights
from fmtt.smc.resampling import Resampler, inverse_cdf, multinomial, uniforms


class Selection(Protocol):
    """A rule between steps."""

    @property
    def block(self) -> int:
        """Particles come in multiples of this."""
        ...

    @property
    def min_particles(self) -> int:
        """The fewest particles that it can select among."""
        ...

    @property
    def multinomial(self) -> bool:
        """Whether it resamples by independent draws, so that equal weights too have unequal numbers of offspring."""
        ...

    @property
    def acts(self) -> bool:
        """Whether it ever changes a population."""
        ...

    @property
    def draws_by_value(self) -> bool:
        """Whether it draws particles by ``exp(r_t)``, beside what weights do."""
        ...

    def due(self, step: int, steps: int) -> bool:
        """Whether it may act after ``step`` of ``steps`` steps, so that it wants to know the tilt there."""
        ...

    def left(self, particles: int, step: int) -> int:
        """How many of ``particles`` of a group it leaves after ``step`` steps."""
        ...

    def __call__(self, population: Population, step: int, steps: int, noise: Noise) -> tuple[Population, Tensor]: ...


class Replaces:
    """A selection that replaces particles by others and leaves as many as there were."""

    def left(self, particles: int, step: int) -> int:
        return particles


@dataclass(frozen=True)
class KeepAll(Replaces):
    """No selection."""

    block, min_particles, multinomial, acts, draws_by_value = 1, 1, False, False, False

    def due(self, step: int, steps: int) -> bool:
        return False

    def __call__(self, population: Population, step: int, steps: int, noise: Noise) -> tuple[Population, Tensor]:
        return population, torch.zeros(len(population.x), dtype=torch.bool, device=population.x.device)


@dataclass(frozen=True)
class ResampleOnEss(Replaces):
    """Resample the groups whose ESS has fallen to ``threshold`` N or below; 0 is never, 1 is always.

    It looks after every ``interval`` steps only.
    """

    threshold: float
    resampler: Resampler
    interval: int = 1
    block, min_particles, acts, draws_by_value = 1, 1, True, False

    @property
    def multinomial(self) -> bool:
        return self.resampler is multinomial

    def __post_init__(self) -> None:
        fraction("mode.ess_threshold", self.threshold)
        whole_number("mode.interval", self.interval, 1)

    def due(self, step: int, steps: int) -> bool:
        return self.threshold > 0 and step % self.interval == 0

    def __call__(self, population: Population, step: int, steps: int, noise: Noise) -> tuple[Population, Tensor]:
        if not self.due(step, steps):
            return KeepAll()(population, step, steps, noise)
        where = population.ess <= self.threshold
        return resample(population, self.resampler, where, step, noise), where


@dataclass(frozen=True)
class ResampleAtSteps(Replaces):
    """Resample after each of the steps ``at``, counted from 1."""

    at: tuple[int, ...]
    resampler: Resampler
    block, min_particles, acts, draws_by_value = 1, 1, True, False

    @property
    def multinomial(self) -> bool:
        return self.resampler is multinomial

    def due(self, step: int, steps: int) -> bool:
        return step in self.at

    def __call__(self, population: Population, step: int, steps: int, noise: Noise) -> tuple[Population, Tensor]:
        where = torch.full((len(population.x),), step in self.at, device=population.x.device)
        return (resample(population, self.resampler, where, step, noise) if step in self.at else population), where


def resample(population: Population, resampler: Resampler, where: Tensor, step: int, noise: Noise) -> Population:
    """Replace the groups ``where (G,)`` by their offspring; their weights become log Z. Costs nothing for no group."""
    if not where.any():
        return population
    particles = population.log_weights.shape[1]
    u = noise.uniform((uniforms(resampler, particles),), step, "resampling")
    return population.resampled(resampler(normalised_weights(population.log_weights), u, particles), where)


@dataclass(frozen=True)
class TopAndClone(Replaces):
    """Search: at ``rounds`` evenly spread steps keep the ``keep`` best by tilt and clone them to fill the group.

    Weights play no part: this looks for maxima and is biased by design (arXiv 2511.22688, search mode). The steps
    are ``k = round((i + 1) K / (rounds + 1))``. Fewer are kept than there are particles, since keeping all would
    select nothing. ``keep=None`` is 4, or half of the particles if they are fewer than 8.
    """

    keep: int | None
    rounds: int
    block, multinomial, acts, draws_by_value = 1, False, True, False

    @property
    def min_particles(self) -> int:
        return 1 + (self.keep or 1)

    def __post_init__(self) -> None:
        if self.keep is not None:
            whole_number("mode.keep", self.keep, 1)
        whole_number("mode.rounds", self.rounds, 1)

    def due(self, step: int, steps: int) -> bool:
        return step in {round((i + 1) * steps / (self.rounds + 1)) for i in range(self.rounds)}

    def __call__(self, population: Population, step: int, steps: int, noise: Noise) -> tuple[Population, Tensor]:
        groups, particles = population.log_weights.shape
        now = self.due(step, steps)
        where = torch.full((groups,), now, device=population.x.device)
        if not now:
            return population, where
        best = population.tilt.value.topk(self.keep or min(4, particles // 2), dim=1).indices
        slots = torch.arange(particles, device=best.device) % best.shape[1]
        return population.take(best[:, slots]), where


@dataclass(frozen=True)
class ChooseAmongDuplicates(Replaces):
    """SVDD: every ``duplicates`` consecutive particles are proposals from one parent; one of them is cloned to all.

    The survivor of a family is drawn by ``exp(r_t)``, or is the best where it is ``greedy`` (arXiv 2408.08252).
    Families do not compete.
    """

    duplicates: int
    greedy: bool
    multinomial, acts = False, True

    @property
    def draws_by_value(self) -> bool:
        return not self.greedy

    @property
    def block(self) -> int:
        return self.duplicates

    @property
    def min_particles(self) -> int:
        return self.duplicates

    def __post_init__(self) -> None:
        whole_number("mode.duplicates", self.duplicates, 2)

    def due(self, step: int, steps: int) -> bool:
        return True

    def __call__(self, population: Population, step: int, steps: int, noise: Noise) -> tuple[Population, Tensor]:
        groups, particles = population.log_weights.shape
        value = population.tilt.value.reshape(-1, self.duplicates)
        if self.greedy:
            survivor = value.argmax(1)
        else:
            families = particles // self.duplicates
            u = noise.uniform((families,), step, "survivor").reshape(-1, 1)
            survivor = inverse_cdf(torch.softmax(value, dim=1), u)[:, 0]
        first = torch.arange(0, particles, self.duplicates, device=value.device)
        index = (first + survivor.reshape(groups, -1)).repeat_interleave(self.duplicates, dim=1)
        return population.take(index), torch.ones(groups, dtype=torch.bool, device=value.device)


@dataclass(frozen=True)
class KeepBest:
    """After ``after`` steps only the best particle of each group by tilt goes on, alone (arXiv 2604.27147, warm-up).

    Weights play no part, and there is no log Z.
    """

    after: int
    block, min_particles, multinomial, acts, draws_by_value = 1, 2, False, True, False

    def __post_init__(self) -> None:
        whole_number("mode.warmup", self.after, 1)

    def due(self, step: int, steps: int) -> bool:
        return step == self.after

    def left(self, particles: int, step: int) -> int:
        return 1 if step == self.after else particles

    def __call__(self, population: Population, step: int, steps: int, noise: Noise) -> tuple[Population, Tensor]:
        now = self.due(step, steps)
        where = torch.full((len(population.x),), now, device=population.x.device)
        return (population.take(population.tilt.value.argmax(1, keepdim=True)) if now else population), where
