"""Which methods make clocks show which time?

The clocks that the runs of ``experiment=clocks`` return are read by the exact reader, which no reward uses. A row for
each method, a column for each time: the share of clocks that are legible and show it within five minutes. The base
model knows of no time: all its clocks count, for every time.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from fmtt.data.clock_templates import LEGIBLE, TemplateReader
from fmtt.report.comparison.run_summary import RunSummary
from fmtt.rewards.clock import TOLERANCE, minutes
from fmtt.studies.output import markdown_table, per_cent, write_study
from fmtt.studies.runs import finished_runs, grouped, is_base, method_name, returned, tensors_of

APART = ("reward.time", "population.groups", "population.particles", "budget.nfe")


@dataclass(frozen=True)
class ReadClocks:
    """The clocks that a method returns for a time, of all seeds, as they are read.

    Attributes:
        clocks: ``(B, 1, size, size)``.
        right: those that show the time, ``(B,)``.
        legible: those that can be read, ``(B,)``.
        cost: weighted network evaluations for each clock.
    """

    clocks: Tensor
    right: Tensor
    legible: Tensor
    cost: float


@dataclass(frozen=True)
class MethodClocks:
    """The clocks of a method by time, and whether these are the same at all times, as those of the base model are."""

    by_time: Mapping[str, ReadClocks]
    same: bool

    def share(self, name: str) -> str:
        """The share of clocks that are ``right`` or ``legible`` at all times; one that counts many times is one."""
        values = [getattr(read, name).double() for read in self.by_time.values()]
        return share(torch.stack(values).mean(0) if self.same else torch.cat(values))


def time_of(run: RunSummary) -> str:
    """The time that the clocks of a run should show."""
    return run.settings.get("reward.time", "4:45").replace("\\", "")  # it protects the colon


def clocks_of(run: RunSummary) -> Tensor:
    """The clock that each group returns; of a base run all of them, ``(B, 1, size, size)``."""
    tensors = tensors_of(run)
    return tensors["samples"].flatten(0, 1) if is_base(run) else returned(tensors, "samples")


def read_clocks(time: str, runs: Sequence[RunSummary], reader: TemplateReader) -> ReadClocks:
    """The clocks of ``runs``, read for a time."""
    clocks = torch.cat([clocks_of(run) for run in runs])
    reading = reader(clocks)
    cost = sum(run.number("nfe/weighted") for run in runs) / len(clocks)
    return ReadClocks(clocks, reading.shows(minutes("time", time), TOLERANCE), reading.fit >= LEGIBLE, cost)


def clocks_by_time(runs: Sequence[RunSummary], times: Sequence[str], reader: TemplateReader) -> MethodClocks:
    """The clocks of a method at the times that it was asked for; those of the base model at all of them."""
    same = all(map(is_base, runs))
    asked = {time: [run for run in runs if same or time_of(run) == time] for time in times}
    return MethodClocks({time: read_clocks(time, found, reader) for time, found in asked.items() if found}, same)


def share(values: Tensor) -> str:
    """Mean of ``(B,)`` in per cent with its standard error."""
    mean, error = values.mean().item(), values.std(correction=0).item() / math.sqrt(len(values))
    return per_cent((mean, error))


def success_table(methods: Mapping[str, MethodClocks], times: Sequence[str]) -> str:
    """A row for each method: its cost, the share of legible and of right clocks, and that of right ones by time."""
    rows = []
    for name, method in methods.items():
        found = method.by_time
        worst = min(found.values(), key=lambda read: read.right.double().mean())
        cost = np.mean([read.cost for read in found.values()])
        known = [f"{100 * found[time].right.double().mean():.0f}" if time in found else "" for time in times]
        shares = [method.share("legible"), method.share("right"), share(worst.right.double())]
        rows.append([name, f"{cost:.0f}", *shares, *known])
    return markdown_table(["method", "cost", "legible", "all times", "worst time", *times], rows)


def draw_clocks(methods: Mapping[str, MethodClocks], times: Sequence[str]) -> Figure:
    """A clock of each method and time; its frame is green if it shows the time."""
    figure = Figure(figsize=(0.85 * len(times) + 2.2, 0.95 * len(methods) + 0.3), layout="constrained")
    axes = figure.subplots(len(methods), len(times), squeeze=False)
    for line, (name, method) in zip(axes, methods.items(), strict=True):
        line[0].set_ylabel(name.replace(" ", "\n"), fontsize=8, rotation=0, ha="right", va="center")
        for number, (axis, time) in enumerate(zip(line, times, strict=True)):
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set(linewidth=2.5, color="#cbd5e1")
            if time in method.by_time:
                clocks, right = method.by_time[time].clocks, method.by_time[time].right
                which = number % len(clocks)  # the clocks of base are the same at all times
                axis.imshow(clocks[which, 0], cmap="gray", vmin=-1, vmax=1)
                axis.spines[:].set(color="#16a34a" if right[which] else "#cbd5e1")
    for axis, time in zip(axes[0], times, strict=True):
        axis.set_title(time, fontsize=10)
    return figure


def study_clocks(folders: Sequence[Path], out: Path) -> str:
    """Write and return the table of all methods; the figure shows a clock of each.

    Raises:
        ValueError: if there are no finished runs.
    """
    runs = finished_runs(folders)
    found = grouped(runs, lambda run: method_name(run.settings, APART))
    times = sorted({time_of(run) for run in runs}, key=lambda time: minutes("time", time))
    reader = TemplateReader(clocks_of(runs[0]).shape[-1])
    methods = {name: clocks_by_time(members, times, reader) for name, members in found.items()}
    text = success_table(methods, times)
    write_study(out, text, draw_clocks(methods, times), dpi=120)
    return text
