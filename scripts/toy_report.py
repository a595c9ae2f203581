"""Table and picture of toy runs: ``python scripts/toy_report.py OUT.png FOLDER ...``, one folder per sweep.

Prints a Markdown table with a row per run, averaged over seeds, and draws the samples of the first seed of each.
"""

import math
import sys
from collections import defaultdict
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from fmtt.report.record import Record, read_record

# metric, heading, exact value; the error of a mean over seeds is that over runs, of one run that over groups
COLUMNS = (
    ("positive/unweighted", "right, unweighted", None),
    ("positive", "right", "exact/positive"),
    ("reward/weighted_mean", "reward", "exact/reward"),
    ("log_z/mean", "log Z", "exact/log_z"),
    ("mmd", "MMD", "mmd/floor"),
    ("sliced_w2", "sliced W2", "sliced_w2/floor"),
    ("ess/final", "ESS/N", None),
    ("resamples", "resamplings", None),
)


def name_of(record: Record, sweep: Path) -> tuple[str, str]:
    """The sweep, and what was varied in it other than the seed."""
    varied = [o for o in record.overrides if not o.startswith(("seed=", "hydra", "logger", "experiment"))]
    return sweep.name, ", ".join(varied)


def estimate(records: list[Record], metric: str) -> tuple[float, float]:
    """Mean over runs and its error; of a single run, the error over groups."""
    values = np.array([record.metrics.get(metric, math.nan) for record in records], dtype=float)
    if len(values) > 1:
        return float(values.mean()), float(values.std(ddof=1) / math.sqrt(len(values)))
    short = metric.removesuffix("/mean")
    return float(values[0]), float(records[0].metrics.get(f"{short}/stderr", math.nan))


def cell(records: list[Record], metric: str, exact: str | None) -> str:
    value, error = estimate(records, metric)
    if math.isnan(value):
        return ""
    text = f"{value:.3f}" if math.isnan(error) else f"{value:.3f} ± {error:.3f}"
    truth = estimate(records, exact)[0] if exact else math.nan
    return text if math.isnan(truth) else f"{text} ({truth:.3f})"


def main() -> None:
    target, *sweeps = (Path(argument) for argument in sys.argv[1:])
    runs: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for sweep in sweeps:
        for folder in sorted(file.parent for file in sweep.rglob("metrics.json")):
            record = read_record(folder)
            runs[name_of(record, sweep)].append(record)
    shown = [column for column in COLUMNS if any(column[0] in r.metrics for members in runs.values() for r in members)]
    print(f"| sweep | varied | {' | '.join(heading for _, heading, _ in shown)} |")
    print(f"|{'---|' * (2 + len(shown))}")
    for (sweep, varied), members in runs.items():
        print(f"| {sweep} | {varied} | {' | '.join(cell(members, metric, exact) for metric, _, exact in shown)} |")
    draw(target, runs)


def draw(target: Path, runs: dict[tuple[str, str], list[Record]]) -> None:
    """A panel per row of the table: the base samples in grey, the weighted ones in blue, opaque as they weigh."""
    columns = 4
    figure, axes = plt.subplots(
        math.ceil(len(runs) / columns), columns, figsize=(3.2 * columns, 3.3 * math.ceil(len(runs) / columns)),
        squeeze=False, sharex=True, sharey=True,
    )  # fmt: skip
    for axis in axes.flat:
        axis.set_axis_off()
    for axis, (name, members) in zip(axes.flat, runs.items(), strict=False):
        arrays = members[0].arrays
        weights = np.exp(arrays["log_weights"] - arrays["log_weights"].max())
        if "base" in arrays:
            axis.scatter(*arrays["base"].reshape(-1, 2).T, s=1, color="#cbd5e1")
        axis.scatter(*arrays["samples"].reshape(-1, 2).T, s=1, color="#2563eb", alpha=weights.flatten())
        axis.set_title("\n".join(name), fontsize=7)
        axis.set_aspect("equal")
    figure.tight_layout()
    figure.savefig(target, dpi=110)


if __name__ == "__main__":
    main()
