"""THE loop: move and weigh, look, select. Most modes are compositions of guidance, weights and selection in it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from fmtt.flow.noise import Noise
from fmtt.methods.loop import Loop, State
from fmtt.smc.diagnostics import incremental_discrepancy, weighted_mean
from fmtt.smc.population import Population, require_finite
from fmtt.smc.selection import Selection
from fmtt.smc.tempering import Tempering
from fmtt.step.dynamics import Draws, Dynamics
from fmtt.tilt.tilt import TiltValue


@dataclass(frozen=True)
class Sampler(Loop):
    """One run.

    Attributes:
        dynamics: moves and weights.
        selection: what happens between steps.
        times: the grid ``t_0 < ... < t_K = 1``.
        particles: N in each group.
        noise: the keyed noise, which also says which groups there are.
        tempering: how much of the tilt is let in, or None for all of it.
        opening: a loop whose last population, noise under the tilt of t = 0, takes the place of N(0, I); or None.
        image: ``(*D)``; particles start at ``t_0 image + (1 - t_0) noise``. None for t_0 = 0.
    """

    dynamics: Dynamics
    selection: Selection
    times: tuple[float, ...]
    particles: int
    noise: Noise
    tempering: Tempering | None = None
    opening: Loop | None = None
    image: Tensor | None = None

    @property
    def steps(self) -> int:
        return len(self.times) - 1

    def start(self) -> State:
        """N particles at t_0 in each group, and the tilt there if anybody asks; or where the opening ends."""
        if self.opening is not None:
            return self.opened(self.opening.last())
        x = self.noise.normal((self.particles, *self.dynamics.model.shape), 0, "start")
        temper, t = math.nan if self.tempering is None else 1.0, self.times[0]
        if self.image is not None:
            x = t * self.image + (1 - t) * x
        if not self.asks(0):
            return State.start(Population.start(x, TiltValue.unasked(x)), temper, t)
        tilt = self.dynamics.look(x, t, self.times[1])
        require_finite("the reward", tilt.reward, 0, self.noise.groups)
        population = Population.start(x, tilt)
        return State.start(replace(population, log_weights=self.dynamics.weights.start(tilt.value)), temper, t)

    def opened(self, state: State) -> State:
        """The start where an opening has ended in ``state``."""
        population, times = state.population, self.times
        tilt = population.tilt.scaled(state.temper)
        if self.asks(0) and (tilt.gradient is None or self.dynamics.needs_rates):
            tilt = self.dynamics.look(population.x, times[0], times[1])
        log_weights = self.dynamics.weights.start(population.log_weights)
        temper = math.nan if self.tempering is None else 1.0
        start = State.start(replace(population, tilt=tilt, log_weights=log_weights), temper)
        return replace(
            start, discrepancy=state.discrepancy, length=state.length, lowest_ess=state.lowest_ess,
            selections=state.selections,
        )  # fmt: skip

    def asks(self, step: int) -> bool:
        """Whether anybody wants to know the tilt after ``step`` steps; nobody is asked for nothing."""
        if step == self.steps or self.dynamics.asks(self.times[step], self.times[step + 1]):
            return True
        return step > 0 and self.selection.due(step, self.steps)

    def draws(self, step: int) -> Draws:
        """The random numbers of the step after ``step`` steps."""
        shape, probes = (self.particles, *self.dynamics.model.shape), self.dynamics.probes
        looks = self.dynamics.looks
        return Draws(
            self.noise.normal(shape, step, "move") if self.dynamics.epsilon(self.times[step + 1]) > 0 else None,
            self.noise.signs((probes, *shape), step, "probes") if probes else None,
            self.noise.normal((looks, *shape), step, "look") if looks else None,
            self.noise.normal(shape, step, "transport") if self.dynamics.transport.stochastic else None,
        )

    def step(self, state: State) -> State:
        """Move, weigh, look, select."""
        k, population, asked = state.step, state.population, self.asks(state.step + 1)
        now, then = self.times[k], self.times[k + 1]
        after_next = self.times[k + 2] if k + 2 <= self.steps else None
        move = self.dynamics.step(population.x, population.tilt, (now, then, after_next), self.draws(k), asked)
        (increment, gap, overshoot), tilt, temper = move.increment, move.tilt, state.temper
        if asked:
            require_finite("the reward", tilt.reward, k + 1, self.noise.groups)
        require_finite("the log-weight", increment, k + 1, self.noise.groups)
        if self.tempering and asked:
            temper = torch.ones_like(temper)
            if k + 1 < self.steps:
                ramp = self.dynamics.tilt.ramp
                temper = self.tempering.share(
                    population.log_weights, increment, tilt.value, state.temper * ramp(now) / ramp(then)
                )
            increment, tilt = increment - (1 - temper)[:, None] * tilt.value, tilt.scaled(temper)
        d = incremental_discrepancy(population.log_weights, increment)
        unknown = torch.full_like(d, torch.nan)
        size = unknown if gap is None else weighted_mean(gap**2, population.log_weights).sqrt()
        excess = unknown if overshoot is None else weighted_mean(overshoot, population.log_weights)
        population = replace(population, x=move.x, tilt=tilt, log_weights=population.log_weights + increment)
        ess, selected = population.ess, torch.zeros_like(state.selected)
        if k + 1 < self.steps:
            population, selected = self.selection(population, k + 1, self.steps, self.noise)
        later = state.after(then, population, ess, d, selected, temper)
        return replace(later, transport_gap=state.transport_gap + size, overshoot=state.overshoot + excess)
