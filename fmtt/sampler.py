"""THE loop: move and weigh, look, select. Every mode is a composition of guidance, weights and selection in it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from fmtt.diagnostics import incremental_discrepancy, weighted_mean
from fmtt.dynamics import Draws, Dynamics
from fmtt.noise import Noise
from fmtt.particles import Population, require_finite
from fmtt.selection import Selection


@dataclass(frozen=True)
class State:
    """A run after ``step`` steps; everything that is needed to go on.

    Attributes:
        step: steps done.
        t: the time reached.
        population: the particles, after selection.
        ess: effective sample size before the selection, as a fraction of N, ``(G,)``.
        lowest_ess: the smallest so far, ``(G,)``.
        step_discrepancy: incremental discrepancy of the last step, ``(G,)``; its root is the length of the step.
        discrepancy, length: total discrepancy and thermodynamic length so far, ``(G,)``.
        transport_gap: sum over steps of the weighted root mean square of what the flow map's error contributes to the
            log-weights, ``(G,)``; NaN where the weights do not measure it.
        overshoot: sum over steps of the weighted mean of the kicks' overshoot, ``(G,)``; NaN where it does not matter.
        selected: the groups on which the selection acted after this step, ``(G,)``.
        selections: how often it acted so far, ``(G,)``.
    """

    step: int
    t: float
    population: Population
    ess: Tensor
    lowest_ess: Tensor
    step_discrepancy: Tensor
    discrepancy: Tensor
    length: Tensor
    transport_gap: Tensor
    overshoot: Tensor
    selected: Tensor
    selections: Tensor

    @staticmethod
    def start(t: float, population: Population) -> State:
        zero = torch.zeros_like(population.log_z)
        never = torch.zeros_like(zero, dtype=torch.bool)
        return State(0, t, population, population.ess, population.ess, zero, zero, zero, zero, zero, never, zero.long())


@dataclass(frozen=True)
class Sampler:
    """One run.

    Attributes:
        dynamics: moves and weights.
        selection: what happens between steps.
        times: the grid ``t_0 = 0 < ... < t_K = 1``.
        particles: N in each group.
        noise: the keyed noise, which also says which groups there are.
    """

    dynamics: Dynamics
    selection: Selection
    times: tuple[float, ...]
    particles: int
    noise: Noise

    def start(self) -> State:
        """N particles from N(0, I) in each group, and the tilt there."""
        x = self.noise.normal((self.particles, *self.dynamics.model.shape), 0, "start")
        tilt = self.dynamics.look(x, self.times[0], self.times[1])
        require_finite("the reward", tilt.reward, 0, self.noise.groups)
        return State.start(self.times[0], Population.start(x, tilt))

    def run(self, state: State | None = None) -> Iterator[State]:
        """The states of a run from its start, or of what is left of it after ``state``; the last has t = 1.

        Raises:
            FloatingPointError: if a reward or a weight is not finite.
        """
        state = self.start() if state is None else state
        yield state
        while state.step < len(self.times) - 1:
            state = self.step(state)
            yield state

    def last(self) -> State:
        """The state at t = 1 of a run from its start."""
        return deque(self.run(), maxlen=1).pop()

    def draws(self, step: int) -> Draws:
        """The random numbers of the step after ``step`` steps."""
        shape, probes = (self.particles, *self.dynamics.model.shape), self.dynamics.probes
        looks = self.dynamics.field.samples
        return Draws(
            self.noise.normal(shape, step, "move") if self.dynamics.epsilon(self.times[step + 1]) > 0 else None,
            self.noise.signs((probes, *shape), step, "probes") if probes else None,
            self.noise.normal((looks, *shape), step, "look") if looks else None,
        )

    def step(self, state: State) -> State:
        """Move, weigh, look, select."""
        steps, k, population = len(self.times) - 1, state.step, state.population
        now, then = self.times[k], self.times[k + 1]
        after_next = self.times[k + 2] if k + 2 <= steps else None
        move = self.dynamics.step(population.x, population.tilt, (now, then, after_next), self.draws(k))
        increment, gap, overshoot = move.increment
        require_finite("the reward", move.tilt.reward, k + 1, self.noise.groups)
        require_finite("the log-weight", increment, k + 1, self.noise.groups)
        d = incremental_discrepancy(population.log_weights, increment)
        unknown = torch.full_like(d, torch.nan)
        size = unknown if gap is None else weighted_mean(gap**2, population.log_weights).sqrt()
        excess = unknown if overshoot is None else weighted_mean(overshoot, population.log_weights)
        log_weights = population.log_weights + increment
        population = replace(population, x=move.x, tilt=move.tilt, log_weights=log_weights)
        ess, selected = population.ess, torch.zeros_like(state.selected)
        if k + 1 < steps:
            population, selected = self.selection(population, k + 1, steps, self.noise)
        return State(
            step=k + 1,
            t=then,
            population=population,
            ess=ess,
            lowest_ess=torch.minimum(state.lowest_ess, ess),
            step_discrepancy=d,
            discrepancy=state.discrepancy + d,
            length=state.length + d.sqrt(),
            transport_gap=state.transport_gap + size,
            overshoot=state.overshoot + excess,
            selected=selected,
            selections=state.selections + selected,
        )
