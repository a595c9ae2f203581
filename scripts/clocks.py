"""Who makes clocks show which time: ``python scripts/clocks.py FOLDER ... [--out outputs/clocks]``.

Reads the runs of ``experiment=clocks`` and the clocks that they return, by the exact reader, which no reward uses. A
row for each method, a column for each time: the share of legible clocks that show it within five minutes. Writes OUT.md
and OUT.png, a clock of each.
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
from fmtt.report.sweep import Entry, read_sweep
from fmtt.rewards.clock import TOLERANCE, minutes

APART = (
    "seed", "experiment", "launcher", "logger", "report", "baseline", "resume", "reward.time", "population.groups",
)  # fmt: skip


@dataclass(frozen=True)
class Cell:
    """The clocks that a method returns for a time, of all seeds.

    Attributes:
        clocks: ``(B, 1, size, size)``.
        right: those that show the time, ``(B,)``.
        legible: those that can be read, ``(B,)``.
        cost: weighted network evaluations of a group.
    """

    clocks: Tensor
    right: Tensor
    legible: Tensor
    cost: float


def name_of(entry: Entry) -> str:
    """The mode and whatever else was overridden."""
    settings = {key: value for key, value in entry.settings.items() if key not in APART}
    return " ".join([settings.pop("mode", "default"), *(f"{key}={value}" for key, value in sorted(settings.items()))])


def returned(folder: Path, entry: Entry) -> Tensor:
    arrays = load_file(folder / entry.name / "samples.safetensors")
    return arrays["samples"][torch.arange(len(arrays["selected"])), arrays["selected"]]


def cell(time: str, runs: Sequence[tuple[Path, Entry]], reader: TemplateReader) -> Cell:
    clocks = torch.cat([returned(*run) for run in runs])
    reading = reader(clocks)
    cost = float(np.mean([entry.metrics["nfe/weighted/group"] for _, entry in runs]))
    return Cell(clocks, reading.shows(minutes("time", time), TOLERANCE), reading.fit >= LEGIBLE, cost)


def share(values: Tensor) -> str:
    """In per cent with its standard error."""
    mean = values.double().mean().item()
    return f"{100 * mean:.0f} ± {100 * math.sqrt(mean * (1 - mean) / len(values)):.0f}"


def table(cells: Mapping[tuple[str, str], Cell], methods: Sequence[str], times: Sequence[str]) -> str:
    head = ["method", "cost", "legible", "all times", "worst time", *times]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for method in methods:
        row = {time: cells[method, time] for time in times if (method, time) in cells}
        right, legible = (torch.cat([getattr(found, name) for found in row.values()]) for name in ("right", "legible"))
        worst = min(row.values(), key=lambda found: found.right.double().mean())
        cost = np.mean([found.cost for found in row.values()])
        known = [f"{100 * row[time].right.double().mean():.0f}" if time in row else "" for time in times]
        lines.append(
            f"| {' | '.join([method, f'{cost:.0f}', share(legible), share(right), share(worst.right), *known])} |"
        )
    return "\n".join(lines)


def draw(path: Path, cells: Mapping[tuple[str, str], Cell], methods: Sequence[str], times: Sequence[str]) -> None:
    """The first clock of each method and time; a green frame where it shows the time."""
    figure = Figure(figsize=(0.85 * len(times) + 1.6, 0.95 * len(methods) + 0.3), layout="constrained")
    axes = figure.subplots(len(methods), len(times), squeeze=False)
    for row, method in enumerate(methods):
        for column, time in enumerate(times):
            axis, found = axes[row, column], cells.get((method, time))
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set(linewidth=2.5, color="#16a34a" if found and found.right[0] else "#cbd5e1")
            if row == 0:
                axis.set_title(time, fontsize=10)
            if column == 0:
                axis.set_ylabel(method.replace(" ", "\n"), fontsize=8, rotation=0, ha="right", va="center")
            if found:
                axis.imshow(found.clocks[0, 0], cmap="gray", vmin=-1, vmax=1)
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, default=Path("outputs/clocks"))
    options = parser.parse_args()
    runs: dict[tuple[str, str], list[tuple[Path, Entry]]] = {}
    for folder in options.folders:
        for entry in read_sweep(folder):
            if entry.status == "done":
                time = entry.settings.get("reward.time", "4:45").replace("\\", "")  # it protects the colon
                runs.setdefault((name_of(entry), time), []).append((folder, entry))
    if not runs:
        sys.exit(f"no finished runs below {', '.join(map(str, options.folders))}")
    methods, times = (list(dict.fromkeys(key[axis] for key in runs)) for axis in (0, 1))
    times.sort(key=lambda time: minutes("time", time))
    folder, entry = next(iter(runs.values()))[0]
    reader = TemplateReader(returned(folder, entry).shape[-1])
    cells = {(method, time): cell(time, found, reader) for (method, time), found in runs.items()}
    text = table(cells, methods, times)
    print(text)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.with_suffix(".md").write_text(text + "\n")
    draw(options.out.with_suffix(".png"), cells, methods, times)


if __name__ == "__main__":
    main()
