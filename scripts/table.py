"""A Markdown table of sweeps: ``python scripts/table.py FOLDER ... --columns NAME ... [--picture OUT.png]``.

One row for each kind of run, averaged over seeds with its standard error (over groups where there is one seed), and a
column for every setting that differs. The picture, for points of the plane, has a panel for each row: the base samples
in grey where they were kept, the tilted ones of the first run in blue, fainter where they weigh less than the mean.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from fmtt.report.common.estimates import mean_and_error, text_of
from fmtt.report.comparison.kinds import Kind, average, differing
from fmtt.report.comparison.sweep import read_sweep
from fmtt.run_folder import read_samples


def cell(estimate: tuple[float, float]) -> str:
    """The number, with its error where that is known, or nothing."""
    value, error = estimate
    return "" if math.isnan(value) else text_of(value, error)


def found(kind: Kind, name: str) -> tuple[float, float]:
    """The estimate of a metric over the runs of a kind; of an error too, such as ``log_z/stderr``."""
    values = np.array([run.metrics.get(name, math.nan) for run in kind.runs], dtype=float)
    return kind.estimates.get(name) or mean_and_error(values[np.isfinite(values)])


def table(kinds: Sequence[Kind], columns: Sequence[str]) -> str:
    settings = differing(kinds)
    lines = [f"| {' | '.join([*settings, *columns])} |", f"|{'---|' * (len(settings) + len(columns))}"]
    for kind in kinds:
        known = [kind.settings.get(name, "") for name in settings]
        lines.append(f"| {' | '.join([*known, *(cell(found(kind, name)) for name in columns)])} |")
    return "\n".join(lines)


def draw(path: Path, kinds: Sequence[tuple[Path, Kind]], columns: int = 4) -> None:
    rows, settings = math.ceil(len(kinds) / columns), differing([kind for _, kind in kinds])
    size = (3.2 * columns, 3.3 * rows)
    figure, axes = plt.subplots(rows, columns, figsize=size, squeeze=False, sharex=True, sharey=True)
    for axis in axes.flat:
        axis.set_axis_off()
    for axis, (folder, kind) in zip(axes.flat, kinds, strict=False):
        arrays = read_samples(folder / kind.runs[0].name)
        weights = np.exp(arrays["log_weights"] - arrays["log_weights"].max(1, keepdims=True))
        if "base" in arrays:
            axis.scatter(*arrays["base"].reshape(-1, 2).T, s=1, color="#cbd5e1")
        opacity = np.minimum(weights / weights.mean(), 1).flatten()
        axis.scatter(*arrays["samples"].reshape(-1, 2).T, s=1, color="#2563eb", alpha=opacity)
        axis.set_title("\n".join(f"{name}={kind.settings[name]}" for name in settings if name in kind.settings), size=7)
        axis.set_aspect("equal")
    figure.tight_layout()
    figure.savefig(path, dpi=100)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--columns", nargs="+", required=True)
    parser.add_argument("--picture", type=Path)
    options = parser.parse_args()
    found = [(folder, kind) for folder in options.folders for kind in average(read_sweep(folder))]
    if not found:
        sys.exit(f"no finished runs below {', '.join(map(str, options.folders))}")
    print(table([kind for _, kind in found], options.columns))
    if options.picture:
        draw(options.picture, found)


if __name__ == "__main__":
    main()
