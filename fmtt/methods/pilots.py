"""Schedules placed by a pilot run, so that every step has the same thermodynamic length.

The length of step k is ``sqrt(D_k)`` with D_k its incremental discrepancy. For a given number of steps the total
discrepancy ``sum_k D_k`` is smallest where all D_k are equal (Syed et al. 2024, arXiv 2408.12057). The pilot is a run
of the same loop with other noise; its calls are entered in the same ledger.
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

PILOT = -1  # the number of a pilot's first group; no other run has groups of these numbers, or their noise


@runtime_checkable
class Tuned(Protocol):
    """A schedule that is found by a pilot run."""

    def tune(self, loop: Trajectory) -> Trajectory:
        """``loop`` with the schedule in place."""
        ...


def pilot_lengths(loop: Trajectory, particles: int) -> list[float]:
    """``sqrt(D_k)`` of every step, mean over prompts, in a run of one group of ``particles`` for each prompt."""
    total, lengths = None, []
    for _, info in pilot(loop, particles).run():
        total = totals(info, total)
        lengths.append(total.length.mean().item())
    return [then - now for now, then in pairwise(lengths)]


def pilot(loop: Trajectory, particles: int) -> Trajectory:
    """The same loop with one group of ``particles`` for each prompt, and noise of its own.

    Raises:
        ValueError: if the start of the loop was prepared for its own groups.
    """
    if loop.opening is not None:
        raise ValueError("sampler.start=annealed: pilots need sampler/start=normal; use another grid and ramp")
    tilt, batches = loop.dynamics.tilt, loop.dynamics.tilt.batches
    prompt = None if batches.prompt is None else torch.arange(batches.prompts, device=batches.prompt.device)
    tilt = replace(tilt, batches=replace(batches, prompt=prompt))
    noise = replace(loop.noise, groups=tuple(PILOT - number for number in range(batches.prompts)))
    return replace(loop, particles=particles, noise=noise, dynamics=replace(loop.dynamics, tilt=tilt))


def interpolate(x: float, xs: Sequence[float], ys: Sequence[float]) -> float:
    """The piecewise linear function through ``(xs, ys)`` at x; ``xs`` increase."""
    k = min(max(bisect_right(xs, x), 1), len(xs) - 1)
    share = (x - xs[k - 1]) / (xs[k] - xs[k - 1])
    return ys[k - 1] + share * (ys[k] - ys[k - 1])


@dataclass(frozen=True)
class Piloted(ABC):
    """A schedule found by ``rounds`` pilots of ``particles``, each with the schedule that the one before it gave."""

    particles: int = 32
    rounds: int = 1

    setting: ClassVar[str]  # its name on the command line

    def __post_init__(self) -> None:
        whole_number(f"{self.setting}.particles", self.particles, 2)
        whole_number(f"{self.setting}.rounds", self.rounds, 1)

    def tune(self, loop: Trajectory) -> Trajectory:
        for _ in range(self.rounds):
            loop = self.placed(loop, pilot_lengths(loop, self.particles))
        return loop

    @abstractmethod
    def placed(self, loop: Trajectory, lengths: list[float]) -> Trajectory:
        """``loop`` with the schedule that the lengths of a pilot's steps ask for."""


@dataclass(frozen=True)
class GeodesicGrid(Piloted):
    """Times at equal increments of thermodynamic length, mixed with a ``uniform`` share of plain time.

    The share keeps steps short for the dynamics where the weights do not change. The first pilot has uniform times.
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
    """The ramp that rises in each step in proportion to ``d beta / sqrt(D_k)``, so that all D_k are equal.

    For short steps ``sqrt(D_k) = d beta_k std(scale r)`` with the standard deviation under the tilted law at t_k. No
    step counts as shorter than the mean length over ``widest``, which tames steps in which the pilot saw no variance.
    The first pilot has beta = t.
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
