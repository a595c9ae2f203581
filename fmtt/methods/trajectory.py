"""The loop through time: move, weigh, select. Most methods are a combination of guidance, weights and selection."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate, pairwise

import torch
from torch import Tensor

from fmtt.flow.ahead import Ahead
from fmtt.flow.noise import Noise
from fmtt.flow.protocols import require_velocity
from fmtt.methods.loop import Info, Loop, State, totals
from fmtt.smc.population import Population, require_finite
from fmtt.smc.potentials import Difference, PathValue, Potential
from fmtt.smc.selection import Selection
from fmtt.smc.tempering import Tempering
from fmtt.step.dynamics import Draws, Dynamics, Step
from fmtt.step.interval import Interval
from fmtt.step.needs import NOTHING, TILT, Needs
from fmtt.tilt.look_ahead import begun
from fmtt.tilt.tilt import TiltValue, columns

LARGE = 4096  # numbers in a draw, from which on a thread saves more time than it takes


@dataclass(frozen=True)
class Trajectory(Loop):
    """Particles that move through time.

    Attributes:
        dynamics: moves and weights.
        selection: the selection between steps.
        times: the grid ``t_0 < ... < t_K = 1``.
        particles: N in each group.
        noise: the keyed noise; it also has the numbers of the groups.
        potential: the potential of the intermediate weights.
        tempering: the rule for the share of the tilt that is in force, or None for the whole tilt.
        opening: a loop whose last population is noise under the tilt of t = 0; the run starts from it. None: N(0, I).
        image: ``(*D)``; particles start at ``t_0 image + (1 - t_0) noise``. None: at ``(1 - t_0) noise``.
    """

    dynamics: Dynamics
    selection: Selection
    times: tuple[float, ...]
    particles: int
    noise: Noise
    potential: Potential = Difference()
    tempering: Tempering | None = None
    opening: Loop | None = None
    image: Tensor | None = None

    def __post_init__(self) -> None:
        if self.dynamics.model.velocity is None and any(needs.velocity for needs in self.needs):
            instead = "best_of_n, multi_best_of_n, noise_opt, noise_smc or auto"
            require_velocity(self.dynamics.model, "this mode", instead)

    @property
    def steps(self) -> int:
        return len(self.times) - 1

    @property
    def uses_gradient(self) -> bool:
        return any(needs.gradient for needs in self.needs)

    @property
    def uses_laplacian(self) -> bool:
        return any(needs.laplacian for needs in self.needs)

    @cached_property
    def intervals(self) -> tuple[Interval, ...]:
        """The K steps."""
        return tuple(self.dynamics.interval(now, then) for now, then in pairwise(self.times))

    @cached_property
    def needs(self) -> tuple[Needs, ...]:
        """The needs of each of the K steps, with those of the selection before it; the last entry is for the end."""
        due = (TILT if k > 0 and self.selection.due(k, self.steps) else NOTHING for k in range(self.steps))
        parts = zip(self.intervals, due, strict=True)
        return (*(self.dynamics.needs(interval) | before for interval, before in parts), TILT)

    def start(self) -> tuple[State, Info]:
        """N particles at t_0 in each group, with their tilt if it is needed; or the last population of the opening."""
        if self.opening is not None:
            return self.opened(self.opening)
        x = self.noise.normal((self.particles, *self.dynamics.model.shape), 0, "start")
        t = self.times[0]
        x = begun(x, t, self.image)
        tilt = TiltValue.unknown(x)
        if self.needs[0].tilt:
            tilt = self.dynamics.evaluate(x, t, self.needs[0])
            require_finite({"the reward": tilt.reward}, 0, self.noise.groups)
        population = Population.start(x, tilt)
        if self.dynamics.weights.weighted:  # the tilt in force at t_0 weighs the noise
            population = replace(population, log_weights=tilt.value)
        return State.start(population, t), replace(
            Info.still(population), numbers=self.numbers(torch.ones_like(population.log_z))
        )

    def opened(self, opening: Loop) -> tuple[State, Info]:
        """The state before the first step, from the last population of ``opening``, its weights and its diagnostics."""
        before = None
        for last, info in opening.run():
            before, state = totals(info, before), last
        assert before is not None
        population, needs = state.population, self.needs[0]
        tilt = in_force(population.tilt, state.temperature)
        if needs.tilt and ((needs.gradient and tilt.gradient is None) or needs.rate):
            tilt = self.dynamics.evaluate(population.x, self.times[0], needs)
        kept = population.log_weights if self.dynamics.weights.weighted else torch.zeros_like(population.log_weights)
        population = replace(population, tilt=tilt, path=PathValue(tilt.value), log_weights=kept)
        zero = torch.zeros_like(before.discrepancy)
        before = replace(before, step_discrepancy=zero, transport_gap=zero, overshoot=zero, ignored_gap=zero)
        numbers = self.numbers(torch.ones_like(population.log_z))
        return State.start(population), replace(Info.still(population), numbers=numbers, before=before)

    def numbers(self, temperature: Tensor) -> dict[str, Tensor]:
        """Numbers that each step reports in addition to the common diagnostics."""
        return {} if self.tempering is None else {"temperature": temperature}

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """Particles of a group in each of the K steps."""
        return tuple(accumulate(range(1, self.steps), self.selection.left, initial=self.particles))

    @cached_property
    def next_step(self) -> Callable[[int], Step]:
        """:meth:`planned`, with large draws made one step ahead."""
        size = len(self.noise.groups) * self.particles * math.prod(self.dynamics.model.shape)
        return self.planned if size < LARGE else Ahead(self.planned, self.steps)

    def planned(self, step: int) -> Step:
        """The step number ``step``, counted from 0, with its random numbers."""
        shape, interval, needs = (self.sizes[step], *self.dynamics.model.shape), self.intervals[step], self.needs[step]
        probes = self.dynamics.probes(needs)
        draws = Draws(
            self.noise.normal(shape, step, "move") if interval.epsilon > 0 else None,
            self.noise.signs((probes, *shape), step, "probes") if probes else None,
            self.noise.normal((needs.copies, *shape), step, "look") if needs.copies else None,
            self.noise.normal(shape, step, "transport") if self.dynamics.transport.stochastic else None,
        )
        return Step(interval, needs, draws)

    def step(self, state: State) -> tuple[State, Info]:
        """Move, weigh, temper, select."""
        here, step, after = state.population, self.next_step(state.step), state.step + 1
        moved = self.dynamics.move(here.x, here.tilt, step, self.share(state), here.denoised)
        tilt = self.evaluated(moved.x, after, here.tilt)
        path = self.valued(here.path, tilt, after)
        worth = self.dynamics.weigh(here.x, moved, here.tilt, tilt, (here.path.value, path.value), step)
        increment, path, temperature = self.tempered(state, worth.log_weights, path, tilt, step.interval)
        self.check(tilt, increment, after)
        log_weights = here.log_weights + increment
        weighed = replace(here, x=moved.x, tilt=tilt, path=path, log_weights=log_weights, denoised=moved.denoised)
        population, selected = self.select(weighed, after)
        info = Info(weighed, selected, here.log_weights, increment, worth, self.numbers(temperature))
        return replace(state.moved(step.interval.t_next, population), temperature=temperature), info

    def share(self, state: State) -> Tensor | None:
        """The share of the tilt that is in force, ``(G,)``; None for the whole tilt."""
        return None if self.tempering is None else state.temperature

    def evaluated(self, x: Tensor, step: int, before: TiltValue) -> TiltValue:
        """The tilt at ``x (G, N, *D)`` after ``step`` steps, as the selection or the next step needs it."""
        needs = TILT if self.narrows(step) else self.needs[step]
        if not needs.tilt:
            return before.moved_on()
        return self.dynamics.evaluate(x, self.times[step], needs)

    def narrows(self, step: int) -> bool:
        """Whether fewer particles go on after ``step`` steps; then their gradients are found after the selection."""
        return 0 < step < self.steps and self.sizes[step] < self.sizes[step - 1]

    def check(self, tilt: TiltValue, increment: Tensor, step: int) -> None:
        """FloatingPointError if a reward or an increment after ``step`` steps is not finite."""
        known = {"the reward": tilt.reward} if self.needs[step].tilt else {}
        require_finite(known | {"the log-weight": increment}, step, self.noise.groups)

    def valued(self, path: PathValue, tilt: TiltValue, step: int) -> PathValue:
        """The value of the potential after ``step`` steps; at the end it is the tilt itself."""
        if step == self.steps:
            return path._replace(value=tilt.value)
        return self.potential(path, tilt.value) if self.needs[step].tilt else path

    def tempered(
        self, state: State, increment: Tensor, path: PathValue, tilt: TiltValue, interval: Interval
    ) -> tuple[Tensor, PathValue, Tensor]:
        """After tempering: the increment, the value of the potential, and the share of the tilt in force, ``(G,)``."""
        step = state.step + 1
        if self.tempering is None or not self.needs[step].tilt:
            return increment, path, state.temperature
        share = torch.ones_like(state.temperature)
        if step < self.steps:
            lowest = state.temperature * self.dynamics.tilt.ramp(interval.t) / self.dynamics.tilt.ramp(interval.t_next)
            share = self.tempering.share(state.population.log_weights, increment, tilt.value, lowest)
        missing = (1 - share)[:, None] * tilt.value
        return increment - missing, path._replace(value=share[:, None] * tilt.value), share

    def select(self, population: Population, step: int) -> tuple[Population, Tensor]:
        """The population after the selection that follows ``step`` steps, and the groups where it acted, ``(G,)``."""
        if step == self.steps:
            return population, torch.zeros_like(population.log_z, dtype=torch.bool)
        population, where = self.selection(population, step, self.steps, self.noise)
        if self.narrows(step) and self.needs[step].gradient:
            population = replace(
                population, tilt=self.dynamics.evaluate(population.x, self.times[step], self.needs[step])
            )
        return population, where


def in_force(tilt: TiltValue, share: Tensor) -> TiltValue:
    """``tilt`` multiplied by the share ``(G,)`` that is in force."""
    gradient = None if tilt.gradient is None else tilt.gradient * columns(share, tilt.gradient)
    return tilt._replace(value=share[:, None] * tilt.value, gradient=gradient)
