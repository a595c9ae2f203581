"""Ascent in noise space that returns only samples that are typical of the model.

A sample is typical if its denoising error is within a limit (:mod:`fmtt.tilt.typicality`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from fmtt.flow.meter import MeteredModel
from fmtt.flow.noise import Noise
from fmtt.methods.ascent import AscentState, Nesterov
from fmtt.methods.loop import Info, Loop, State
from fmtt.smc.population import require_finite
from fmtt.step.guidance import lengths
from fmtt.tilt.tilt import Tilt, columns, gather
from fmtt.tilt.typicality import DRAWS, denoising_error, usual_error

SHORT = 40  # runs of fewer iterations use one noise draw: among few samples selection overfits the error estimate less
LENIENT = 1.25  # short runs use one noise draw, so their limit is 25% higher
REACH = 0.8  # share of the ranks, from the best sample down to the first one, that the final checks cover


@dataclass(frozen=True)
class TypicalState(AscentState):
    """A run after some iterations.

    Attributes:
        limit: the largest denoising error that counts as typical, for each particle, ``(G, N)``.
        pace: factor of the step size of each particle, ``(G, N)``; a restart halves it.
        samples: all samples of each particle so far, the first one first, ``(G, N, step + 1, *D)``.
        rewards: their rewards, ``(G, N, step + 1)``.
    """

    limit: Tensor
    pace: Tensor
    samples: Tensor
    rewards: Tensor


@dataclass(frozen=True)
class TypicalAscent(Loop):
    """``iterations`` steps of ascent from N(0, I), then a search among all samples of the run.

    The norm of the noise of each particle stays constant. The ascent itself may leave the typical samples of the model.
    So every few iterations the denoising error of the samples is checked. A particle above its limit restarts from new
    noise, with half its step size. At the end the best sample within the limit is searched among all samples so far.

    Attributes:
        tilt: the whole tilt, of ramp 1.
        model: the model that computes denoising errors.
        iterations, particles: K and N.
        noise: the keyed noise.
        climb: the optimiser.
        check_every, final_checks, pilot: as in :class:`fmtt.methods.auto.Auto`.
    """

    tilt: Tilt
    model: MeteredModel
    iterations: int
    particles: int
    noise: Noise
    climb: Nesterov
    check_every: int
    final_checks: int
    pilot: int

    state = TypicalState
    uses_gradient = True

    @property
    def steps(self) -> int:
        return self.iterations

    @property
    def short(self) -> bool:
        return self.iterations < SHORT

    def start(self) -> tuple[TypicalState, Info]:
        z = self.noise.normal((self.particles, *self.model.shape), 0, "start")
        tilt = self.tilt.evaluate(z, 0.0, gradient=True)
        require_finite({"the reward": tilt.reward}, 0, self.noise.groups)
        assert tilt.sample is not None
        usual = self.usual().to(z.device) * (LENIENT if self.short else 1.0)
        limit = torch.maximum(self.surprise(tilt.sample), usual)
        state = AscentState.start_from(z, tilt)
        samples, rewards = tilt.sample[:, :, None], tilt.reward[:, :, None]
        pace = torch.ones_like(limit)
        begun = TypicalState(**vars(state), limit=limit, pace=pace, samples=samples, rewards=rewards)
        return begun, Info.still(begun.population)

    def step(self, state: State) -> tuple[TypicalState, Info]:
        assert isinstance(state, TypicalState)
        z, momentum, pace = self.target(state)
        step = state.step + 1
        tilt = self.tilt.evaluate(z, 0.0, gradient=step < self.iterations)
        require_finite({"the reward": tilt.reward}, step, self.noise.groups)
        assert tilt.sample is not None
        samples = torch.cat([state.samples, tilt.sample[:, :, None]], dim=2)
        rewards = torch.cat([state.rewards, tilt.reward[:, :, None]], dim=2)
        later = replace(state, momentum=momentum, pace=pace, samples=samples, rewards=rewards)
        if step == self.iterations:
            later = self.checked(later)
        return later.climbed(z, tilt, self.tilt.scale, self.iterations)

    def target(self, state: TypicalState) -> tuple[Tensor, Tensor, Tensor]:
        """The next noise and momentum, ``(G, N, *D)`` each, and pace, after an ascent step or a restart."""
        slope, here, pace = state.population.tilt.gradient, state.population.x, state.pace
        assert slope is not None
        z, momentum = self.climb(here, state.momentum, slope)
        z = here + columns(pace, here) * (z - here)
        z = z * lengths(here) / lengths(z)
        if self.checks(state.step):
            lost = self.surprise(state.samples[:, :, -1]) > state.limit
            z = torch.where(columns(lost, z), self.noise.normal(z.shape[1:], state.step, "restart"), z)
            momentum = momentum.masked_fill(columns(lost, z), 0.0)
            pace = torch.where(lost, pace / 2, pace)
        return z, momentum, pace

    def checks(self, step: int) -> bool:
        """Whether samples are checked after ``step`` iterations: at multiples of ``check_every``.

        The last check leaves a restarted particle at least ``check_every`` iterations.
        """
        return 0 < step <= self.iterations - self.check_every and step % self.check_every == 0

    def checked(self, state: TypicalState) -> TypicalState:
        """The state with the best sample within the limit that the final checks find; short runs have fewer checks."""
        groups, particles = state.limit.shape

        def chosen(values: Tensor, index: Tensor) -> Tensor:
            return gather(values.flatten(0, 1), index.reshape(-1, 1)).reshape(groups, particles, *values.shape[3:])

        def within(index: Tensor) -> Tensor:
            return self.surprise(chosen(state.samples, index)) <= state.limit

        checks = min(self.final_checks, self.iterations // 3 + 1)
        best = best_within(self.tilt.scale * state.rewards, within, checks)
        return replace(state, best_sample=chosen(state.samples, best), best_reward=chosen(state.rewards, best))

    def usual(self) -> Tensor:
        """The usual denoising error for each group, ``(G, 1)``: an upper quartile.

        Either the model has it as an attribute, or a pilot measures it for each prompt. All groups of a prompt use the
        same pilot, so groups are independent of each other given the seed.
        """
        if self.model.usual_error is not None:
            return torch.full((len(self.noise.groups), 1), self.model.usual_error, dtype=torch.float64)
        prompt = self.tilt.batches.prompt
        if prompt is None:
            return torch.full((len(self.noise.groups), 1), self.piloted(None), dtype=torch.float64)
        found = {number: self.piloted(number) for number in prompt.unique().tolist()}
        return torch.tensor([[found[number]] for number in prompt.tolist()], dtype=torch.float64)

    @torch.no_grad()
    def piloted(self, number: int | None) -> float:
        """The usual denoising error of the model's own samples for one prompt."""
        pilot, shape = replace(self.noise, groups=tuple(range(self.pilot))), (1, *self.model.shape)
        z, draws = pilot.normal(shape, 0, "pilot"), pilot.normal((DRAWS, *shape), 0, "denoising")
        prompt = None if number is None else torch.full((self.pilot,), number, device=z.device)
        tilt = replace(self.tilt, batches=replace(self.tilt.batches, prompt=prompt))
        return usual_error(self.model, tilt.landings(z, 0.0), draws, tilt.batches)

    @torch.no_grad()
    def surprise(self, samples: Tensor) -> Tensor:
        """The denoising error of ``samples (G, N, *D)``, ``(G, N)``. All checks of a run use the same noise."""
        draws = self.noise.normal((1 if self.short else DRAWS, *samples.shape[1:]), 0, "denoising")
        return denoising_error(self.model, samples, draws, self.tilt.batches)


def best_within(values: Tensor, within: Callable[[Tensor], Tensor], checks: int) -> Tensor:
    """The index of a large entry of ``values (G, N, M)`` that is ``within``, found with a few checks; ``(G, N)``.

    First the largest entry is checked, then lower ranks in growing strides, until an entry is within. After that the
    gap between this entry and the lowest failed rank above it is bisected. Index 0 counts as within without a check; it
    is the answer if no check finds a better entry.

    Args:
        values: M values for each particle.
        within: whether the entries at ``index (G, N)`` are within; ``(G, N)``.
        checks: number of calls of ``within``.
    """
    order = values.argsort(dim=2)
    low = start = (order == 0).long().argmax(dim=2)  # the highest rank known to be within
    high = torch.full_like(low, values.shape[2])  # the lowest rank above it known not to be within
    top = values.shape[2] - 1
    for check in range(checks):
        below = top - (REACH * (top - start) * (check / max(1, checks - 1)) ** 1.5).round().long()
        rank = torch.where((below <= low) | (below >= high), (low + high) // 2, below)
        good = within(order.gather(2, rank[:, :, None])[:, :, 0])
        high = torch.where(good | (rank <= low), high, rank)
        low = torch.where(good, rank, low)
    return order.gather(2, low[:, :, None])[:, :, 0]
