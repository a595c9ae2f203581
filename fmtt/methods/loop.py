"""What every method is to the framework: a loop over states that can be left and taken up again at each of them."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import torch
from torch import Tensor

from fmtt.flow.noise import Noise
from fmtt.smc.population import Population


@dataclass(frozen=True)
class State:
    """A run after ``step`` steps; everything that is needed to go on. A method that remembers more extends it.

    Attributes:
        step: steps done.
        t: the time reached; a method that does not move through time counts its steps from 0 to 1.
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
        temper: the share of the tilt that tempering has let in, ``(G,)``; NaN where nothing tempers.
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
    temper: Tensor

    @staticmethod
    def start(population: Population, temper: float = math.nan, t: float = 0.0) -> State:
        zero = torch.zeros_like(population.log_z)
        never = torch.zeros_like(zero, dtype=torch.bool)
        ess = population.ess
        return State(0, t, population, ess, ess, zero, zero, zero, zero, zero, never, never.long(), zero + temper)

    def after(
        self, t: float, population: Population, ess: Tensor, discrepancy: Tensor, selected: Tensor, temper: Tensor
    ) -> Self:
        """The state one step later, with all that every method sums up on its way; arguments as the attributes.

        ``ess`` is that before the selection and ``discrepancy`` that of the step.
        """
        return replace(
            self,
            step=self.step + 1,
            t=t,
            population=population,
            ess=ess,
            lowest_ess=torch.minimum(self.lowest_ess, ess),
            step_discrepancy=discrepancy,
            discrepancy=self.discrepancy + discrepancy,
            length=self.length + discrepancy.sqrt(),
            selected=selected,
            selections=self.selections + selected,
            temper=temper,
        )


class Loop(ABC):
    """A method, ready to run: ``steps`` steps from :meth:`start`. ``state`` is the class of its states."""

    noise: Noise
    state: ClassVar[type[State]] = State

    @property
    @abstractmethod
    def steps(self) -> int:
        """How many steps the loop takes."""

    @abstractmethod
    def start(self) -> State:
        """The state before the first step."""

    @abstractmethod
    def step(self, state: State) -> State:
        """The state one step later."""

    def run(self, state: State | None = None) -> Iterator[State]:
        """The states of a run from its start, or of what is left of it after ``state``.

        Raises:
            FloatingPointError: if a reward or a weight is not finite.
        """
        state = self.start() if state is None else state
        yield state
        while state.step < self.steps:
            state = self.step(state)
            yield state

    def last(self) -> State:
        """The state at the end of a run from its start."""
        return deque(self.run(), maxlen=1).pop()
