"""The loop of a method: a sequence of states. A run can stop at any state and resume from it later."""

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
    """A run after ``step`` steps: everything that the next step needs. A method with more state extends this class.

    Attributes:
        step: number of finished steps.
        t: the current time; for a method that does not move through time, the finished share of its steps.
        population: the particles, after selection.
        temperature: the share of the tilt that is in force, ``(G,)``; 1 without tempering.
    """

    step: int
    t: float
    population: Population
    temperature: Tensor

    @staticmethod
    def start(population: Population, t: float = 0.0) -> State:
        """The state before the first step, with the whole tilt in force."""
        return State(0, t, population, torch.ones_like(population.log_z))

    def moved(self, t: float, population: Population) -> Self:
        """The state one step later, at time ``t`` with ``population``."""
        return replace(self, step=self.step + 1, t=t, population=population)


@dataclass(frozen=True)
class Info:
    """The record of a step, for diagnostics. The next step does not need it.

    Attributes:
        weighed: the population after the step, before the selection.
        selected: the groups on which the selection acted, ``(G,)``.
        log_weights: the log-weights before the step, ``(G, N)``, or None for methods whose steps change no weights.
        increment: what the step added to the log-weights, ``(G, N)``, or None likewise.
        worth: the increment with the errors of the step that the weights measure, or None for methods that do not move
            through time.
        numbers: further numbers that the method reports for each step, by name, ``(G,)`` each.
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
        """The record of a step that changed no weights and selected nothing."""
        return Info(population, torch.zeros_like(population.log_z, dtype=torch.bool))


class Loop(ABC):
    """A method on a problem, ready to run ``steps`` steps from :meth:`start`. ``state`` is the class of its states."""

    noise: Noise
    state: ClassVar[type[State]] = State

    @property
    @abstractmethod
    def steps(self) -> int:
        """The number of steps."""

    @property
    @abstractmethod
    def uses_gradient(self) -> bool:
        """Whether some step differentiates the reward."""

    @property
    def uses_laplacian(self) -> bool:
        """Whether some step needs the Laplacian of the tilt."""
        return False

    @abstractmethod
    def start(self) -> tuple[State, Info]:
        """The state before the first step."""

    @abstractmethod
    def step(self, state: State) -> tuple[State, Info]:
        """The state one step later."""

    def check_pilot(self) -> None:
        """ValueError if the run is too small for its pilot; by default there is none. Dry runs may be too small."""
        return

    def tuned(self) -> Self:
        """The loop with what a pilot run finds; by default there is none."""
        return self

    def run(self, state: State | None = None) -> Iterator[tuple[State, Info]]:
        """The states of a run from its start, or the states after ``state``, each with the record of its step.

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
    """The diagnostics of a run after a step with record ``info``; ``before`` is None at the start of the run."""
    if before is None:
        return Totals.start(info.ess) if info.before is None else info.before
    if info.log_weights is None or info.increment is None:
        return before.still(info.ess, info.selected)
    gap, overshoot, ignored = None, None, None
    if info.worth is not None:
        gap, ignored = info.worth.transport_gap, info.worth.ignored_gap
        overshoot = None if info.worth.overshoot is None else info.worth.overshoot()
    return before.after(info.ess, info.selected, info.log_weights, info.increment, gap, overshoot, ignored)
