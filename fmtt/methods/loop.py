"""What every method is when it runs: a loop over states that can be left and taken up again at each of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar, Self

import torch
from torch import Tensor

from fmtt.flow.noise import Noise
from fmtt.smc.population import Population
from fmtt.smc.totals import Totals
from fmtt.step.weights import Increment


@dataclass(frozen=True)
class State:
    """A run after ``step`` steps; everything that is needed to go on. A method that remembers more extends it.

    Attributes:
        step: steps done.
        t: the time reached; a method that does not move through time counts its steps from 0 to 1.
        population: the particles, after selection.
        temperature: the share of the tilt that is in force, ``(G,)``; 1 where nothing tempers.
    """

    step: int
    t: float
    population: Population
    temperature: Tensor

    @staticmethod
    def start(population: Population, t: float = 0.0) -> State:
        """Before the first step, with the whole tilt in force."""
        return State(0, t, population, torch.ones_like(population.log_z))

    def moved(self, t: float, population: Population) -> Self:
        """One step later."""
        return replace(self, step=self.step + 1, t=t, population=population)


@dataclass(frozen=True)
class Info:
    """What a step did. It serves diagnostics alone: nothing of it is needed to go on.

    Attributes:
        weighed: the population after the step, before the selection.
        selected: the groups on which the selection acted, ``(G,)``.
        log_weights: the log-weights before the step, ``(G, N)``, or None for methods whose steps change no weights.
        increment: what the step added to them, ``(G, N)``, likewise.
        worth: what the weights know of the errors of the step, or None for methods that move through no time.
        numbers: what else a method reports of each step, by name, ``(G,)`` each.
        before: diagnostics of a run that prepared the start, or None.
    """

    weighed: Population
    selected: Tensor
    log_weights: Tensor | None = None
    increment: Tensor | None = None
    worth: Increment | None = None
    numbers: Mapping[str, Tensor] = field(default_factory=dict)
    before: Totals | None = None

    @property
    def ess(self) -> Tensor:
        """Effective sample size before the selection, as a fraction of N, ``(G,)``."""
        return self.weighed.ess

    @staticmethod
    def still(population: Population) -> Info:
        """Nothing was weighed or selected."""
        return Info(population, torch.zeros_like(population.log_z, dtype=torch.bool))


class Loop(ABC):
    """A method, ready to run: ``steps`` steps from :meth:`start`. ``state`` is the class of its states."""

    noise: Noise
    state: ClassVar[type[State]] = State

    @property
    @abstractmethod
    def steps(self) -> int:
        """How many steps the loop takes."""

    @abstractmethod
    def start(self) -> tuple[State, Info]:
        """The state before the first step."""

    @abstractmethod
    def step(self, state: State) -> tuple[State, Info]:
        """The state one step later."""

    def run(self, state: State | None = None) -> Iterator[tuple[State, Info]]:
        """The states of a run from its start, or those that follow ``state``.

        Raises:
            FloatingPointError: if a reward or a weight is not finite.
        """
        if state is None:
            state, info = self.start()
            yield state, info
        while state.step < self.steps:
            state, info = self.step(state)
            yield state, info

    def last(self) -> State:
        """The state at the end of a run from its start."""
        return deque(self.run(), maxlen=1).pop()[0]


def totals(info: Info, before: Totals | None) -> Totals:
    """The diagnostics of a run after a step that did ``info``; ``before`` is None at its start."""
    if before is None:
        return Totals.start(info.ess) if info.before is None else info.before
    if info.log_weights is None or info.increment is None:
        return before.still(info.ess, info.selected)
    gap, overshoot, ignored = None, None, None
    if info.worth is not None:
        gap, ignored = info.worth.transport_gap, info.worth.ignored_gap
        overshoot = None if info.worth.overshoot is None else info.worth.overshoot()
    return before.after(info.ess, info.selected, info.log_weights, info.increment, gap, overshoot, ignored)
