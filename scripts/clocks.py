"""Who makes clocks show which time: ``python scripts/clocks.py FOLDER ... [--out outputs/clocks]``.

Reads the runs of ``experiment=clocks`` and the clocks that they return, by the exact reader, which no reward uses. A
row for each method, a column for each time: the share of clocks that are legible and show it within five minutes. Base
runs know of no time: all their clocks count, for every time. Writes OUT.md and OUT.png, a clock of each.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from safetensors.torch import load_file
from torch import Tensor

from fmtt.data.clock_templates import LEGIBLE, TemplateReader
from fmtt.report.comparison.run_summary import RunSummary
from fmtt.report.comparison.settings import method_name
from fmtt.report.comparison.sweep import read_sweep
from fmtt.rewards.clock import TOLERANCE, minutes
from fmtt.run_folder import SAMPLES

APART = ("reward.time", "population.groups", "population.particles", "budget.nfe")


Run = tuple[Path, RunSummary]


@dataclass(frozen=True)
class Cell:
    """The clocks that a method returns for a time, of all seeds.

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
class Row:
    """A method: its cells by time, and whether they hold the same clocks, as those of base do."""

    cells: Mapping[str, Cell]
    same: bool

    def share(self, name: str) -> str:
        """Of the clocks that are ``right`` or ``legible`` at all times; one that counts at many times is one clock."""
        values = [getattr(cell, name).double() for cell in self.cells.values()]
        return share(torch.stack(values).mean(0) if self.same else torch.cat(values))


def is_base(entry: RunSummary) -> bool:
    return entry.settings.get("mode") == "base"


def time_of(entry: RunSummary) -> str:
    return entry.settings.get("reward.time", "4:45").replace("\\", "")  # it protects the colon


def judged(folder: Path, entry: RunSummary) -> Tensor:
    """The clock that each group returns; of a base run all of them, ``(B, 1, size, size)``."""
    arrays = load_file(folder / entry.name / SAMPLES)
    if is_base(entry):
        return arrays["samples"].flatten(0, 1)
    return arrays["samples"][torch.arange(len(arrays["selected"])), arrays["selected"]]


def cell(time: str, runs: Sequence[Run], reader: TemplateReader) -> Cell:
    clocks = torch.cat([judged(*run) for run in runs])
    reading = reader(clocks)
    cost = sum(entry.metrics["nfe/weighted"] for _, entry in runs) / len(clocks)
    return Cell(clocks, reading.shows(minutes("time", time), TOLERANCE), reading.fit >= LEGIBLE, cost)


def row(runs: Sequence[Run], times: Sequence[str], reader: TemplateReader) -> Row:
    """A method at the times that it was asked for; base at all of them."""
    same = all(is_base(entry) for _, entry in runs)
    asked = {time: [run for run in runs if same or time_of(run[1]) == time] for time in times}
    return Row({time: cell(time, found, reader) for time, found in asked.items() if found}, same)


def share(values: Tensor) -> str:
    """Mean of ``(B,)`` in per cent with its standard error."""
    mean, error = values.mean().item(), values.std(correction=0).item() / math.sqrt(len(values))
    return f"{100 * mean:.1f} ± {100 * error:.1f}"


def table(rows: Mapping[str, Row], times: Sequence[str]) -> str:
    head = ["method", "cost", "legible", "all times", "worst time", *times]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for method, found in rows.items():
        cells = found.cells
        worst = min(cells.values(), key=lambda cell: cell.right.double().mean())
        cost = np.mean([cell.cost for cell in cells.values()])
        known = [f"{100 * cells[time].right.double().mean():.0f}" if time in cells else "" for time in times]
        shares = [found.share("legible"), found.share("right"), share(worst.right.double())]
        lines.append(f"| {' | '.join([method, f'{cost:.0f}', *shares, *known])} |")
    return "\n".join(lines)


def draw(path: Path, rows: Mapping[str, Row], times: Sequence[str]) -> None:
    """A clock of each method and time; a green frame where it shows the time."""
    figure = Figure(figsize=(0.85 * len(times) + 2.2, 0.95 * len(rows) + 0.3), layout="constrained")
    axes = figure.subplots(len(rows), len(times), squeeze=False)
    for line, (method, found) in zip(axes, rows.items(), strict=True):
        line[0].set_ylabel(method.replace(" ", "\n"), fontsize=8, rotation=0, ha="right", va="center")
        for number, (axis, time) in enumerate(zip(line, times, strict=True)):
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set(linewidth=2.5, color="#cbd5e1")
            if time in found.cells:
                clocks, right = found.cells[time].clocks, found.cells[time].right
                which = number % len(clocks)  # the clocks of base are the same at all times
                axis.imshow(clocks[which, 0], cmap="gray", vmin=-1, vmax=1)
                axis.spines[:].set(color="#16a34a" if right[which] else "#cbd5e1")
    for axis, time in zip(axes[0], times, strict=True):
        axis.set_title(time, fontsize=10)
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, default=Path("outputs/clocks"))
    options = parser.parse_args()
    runs: dict[str, list[Run]] = {}
    for folder in options.folders:
        for entry in read_sweep(folder):
            if entry.status == "done":
                runs.setdefault(method_name(entry.settings, APART), []).append((folder, entry))
    if not runs:
        sys.exit(f"no finished runs below {', '.join(map(str, options.folders))}")
    every = [run for found in runs.values() for run in found]
    times = sorted({time_of(entry) for _, entry in every}, key=lambda time: minutes("time", time))
    reader = TemplateReader(judged(*every[0]).shape[-1])
    rows = {method: row(found, times, reader) for method, found in runs.items()}
    text = table(rows, times)
    print(text)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.with_suffix(".md").write_text(text + "\n")
    draw(options.out.with_suffix(".png"), rows, times)


if __name__ == "__main__":
    main()
