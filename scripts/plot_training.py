"""Draw the losses of a training: ``python scripts/plot_training.py OUT.png LOG/version_*/metrics.csv``.

A resumed training has one table for each of its parts; they are joined by the number of the step.
"""

import csv
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

LABELS = {"loss/diagonal": "flow matching (diagonal)", "loss/map": "flow map (off the diagonal)"}


def read(tables: list[Path], name: str) -> tuple[list[float], list[float]]:
    """Steps and values of one column; where parts overlap, the later part counts."""
    values: dict[float, float] = {}
    for table in tables:
        for row in csv.DictReader(table.read_text().splitlines()):
            if row.get(name):
                values[float(row["step"])] = float(row[name])
    steps = sorted(values)
    return steps, [values[step] for step in steps]


def smooth(values: list[float], decay: float = 0.95) -> list[float]:
    """Exponential moving average, started at the first value."""
    average, out = values[0], []
    for value in values:
        average = decay * average + (1 - decay) * value
        out.append(average)
    return out


def main() -> None:
    target, *tables = (Path(argument) for argument in sys.argv[1:])
    figure, axis = plt.subplots(figsize=(8, 3.6))
    for name, label in LABELS.items():
        steps, values = read(tables, name)
        if values:
            (line,) = axis.plot(steps, smooth(values), label=label)
            axis.plot(steps, values, color=line.get_color(), alpha=0.2, linewidth=0.7)
    axis.set(xlabel="optimisation step", ylabel="mean squared error per dimension", yscale="log")
    axis.grid(alpha=0.3)
    axis.legend()
    figure.tight_layout()
    figure.savefig(target, dpi=120)


if __name__ == "__main__":
    main()
