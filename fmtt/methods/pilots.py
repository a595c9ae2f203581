"""Schedules from a pilot run, chosen so that every step has the same thermodynamic length.

The length of step k is ``sqrt(D_k)``, where D_k is its incremental discrepancy. For a given number of steps the total
discrepancy ``sum_k D_k`` is smallest if all D_k are equal (Syed et al. 2024, arXiv 2408.12057). The pilot runs the same
loop with other noise. Its evaluations are counted in the cost of the run.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from typing import ClassVar, Protocol, runtime_checkable

import torch

from fmtt.checks import at_least, fraction, whole_number
from fmtt.flow.schedules import PowerGrid
from fmtt.methods.loop import totals
from fmtt.methods.trajectory import Trajectory

PILOT = -1  # number of a pilot's first group; group numbers of other runs are not negative, so the noise differs


@runtime_checkable
class Tuned(Protocol):
    """A schedule that a pilot run finds."""

    def check(self, loop: Trajectory) -> None:
        """ValueError if no pilot can find it for ``loop``."""
        ...

    def tune(self, loop: Trajectory) -> Trajectory:
        """``loop`` with the schedule that was found."""
        ...


def pilot_lengths(loop: Trajectory, particles: int) -> list[float]:
    """``sqrt(D_k)`` of every step, averaged over prompts. The pilot has one group of ``particles`` for each prompt."""
    total, lengths = None, []
    for _, info in pilot(loop, particles).run():
        total = totals(info, total)
        lengths.append(total.length.mean().item())
    return [then - now for now, then in pairwise(lengths)]


def pilot(loop: Trajectory, particles: int) -> Trajectory:
    """The same loop with one group of ``particles`` for each prompt, and with its own noise."""
    tilt, batches = loop.dynamics.tilt, loop.dynamics.tilt.batches
    prompt = None if batches.prompt is None else torch.arange(batches.prompts, device=batches.prompt.device)
    tilt = replace(tilt, batches=replace(batches, prompt=prompt))
    noise = replace(loop.noise, groups=tuple(PILOT - number for number in range(batches.prompts)))
    return replace(loop, particles=particles, noise=noise, dynamics=replace(loop.dynamics, tilt=tilt))


def check_start(loop: Trajectory) -> None:
    """ValueError if the loop has an annealed start, which holds only for the groups of the run."""
    if loop.opening is not None:
        raise ValueError("sampler.start=annealed: pilots need sampler/start=normal; use schedules without a pilot")


def interpolate(x: float, xs: Sequence[float], ys: Sequence[float]) -> float:
    """The value at ``x`` of the piecewise linear function through ``(xs, ys)``; ``xs`` must increase."""
    k = min(max(bisect_right(xs, x), 1), len(xs) - 1)
    share = (x - xs[k - 1]) / (xs[k] - xs[k - 1])
    return ys[k - 1] + share * (ys[k] - ys[k - 1])


@dataclass(frozen=True)
class Piloted(ABC):
    """A schedule from ``rounds`` pilots of ``particles``. Each pilot uses the schedule from the pilot before it."""

    particles: int = 32
    rounds: int = 1

    setting: ClassVar[str]  # its name on the command line

    def __post_init__(self) -> None:
        whole_number(f"{self.setting}.particles", self.particles, 2)
        whole_number(f"{self.setting}.rounds", self.rounds, 1)

    def check(self, loop: Trajectory) -> None:
        check_start(loop)

    def tune(self, loop: Trajectory) -> Trajectory:
        self.check(loop)
        for _ in range(self.rounds):
            loop = self.placed(loop, pilot_lengths(loop, self.particles))
        return loop

    @abstractmethod
    def placed(self, loop: Trajectory, lengths: list[float]) -> Trajectory:
        """``loop`` with the schedule that follows from the ``lengths`` of the steps of a pilot."""


@dataclass(frozen=True)
class GeodesicGrid(Piloted):
    """Times at equal increments of thermodynamic length, mixed with a ``uniform`` share of the uniform grid.

    Without this share, steps would be too long for the dynamics where the weights do not change. The first pilot has
    uniform times.
    """

    uniform: float = 0.2

    setting = "sampler.grid"

    def __post_init__(self) -> None:
        super().__post_init__()
        if fraction("sampler.grid.uniform", self.uniform) == 0:
            raise ValueError("sampler.grid.uniform=0: must be positive and at most 1")

    def times(self, steps: int) -> tuple[float, ...]:
        return PowerGrid().times(steps)

    def placed(self, loop: Trajectory, lengths: list[float]) -> Trajectory:
        times, steps, total = loop.times, len(lengths), sum(lengths) or 1.0
        first, last = times[0], times[-1]
        shares = (
            (1 - self.uniform) * length / total + self.uniform * (then - now) / (last - first)
            for length, (now, then) in zip(lengths, pairwise(times), strict=True)
        )
        measure = list(accumulate(shares, initial=0.0))
        inner = (interpolate(k / steps * measure[-1], measure, times) for k in range(1, steps))
        return replace(loop, times=(first, *inner, last))


@dataclass(frozen=True)
class TabulatedRamp:
    """The piecewise linear ramp through ``(times, values)``."""

    times: tuple[float, ...]
    values: tuple[float, ...]

    def __call__(self, t: float) -> float:
        return interpolate(t, self.times, self.values)


@dataclass(frozen=True)
class GeodesicRamp(Piloted):
    """A ramp whose rise in each step is proportional to ``d beta / sqrt(D_k)``, so that all D_k become equal.

    For short steps ``sqrt(D_k) = d beta_k std(scale r)`` with the standard deviation under the tilted law at t_k. The
    lower bound on a length is the mean length divided by ``widest``; it limits the rise in steps in which the pilot saw
    no variance. The first pilot has beta = t.
    """

    widest: float = 4.0

    setting = "sampler.beta"

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least("sampler.beta.widest", self.widest, 1)

    def __call__(self, t: float) -> float:
        return t

    def placed(self, loop: Trajectory, lengths: list[float]) -> Trajectory:
        tilt, times = loop.dynamics.tilt, loop.times
        floor = (sum(lengths) or 1.0) / len(lengths) / self.widest
        rises = (tilt.ramp(then) - tilt.ramp(now) for now, then in pairwise(times))
        values = list(
            accumulate((r / max(length, floor) for r, length in zip(rises, lengths, strict=True)), initial=0.0)
        )
        ramp = TabulatedRamp(times, tuple(value / values[-1] for value in values))
        return replace(loop, dynamics=replace(loop.dynamics, tilt=replace(tilt, ramp=ramp)))
