"""A picture of the samples that methods return, a block for each pair of values of two settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from fmtt.report.common.pixels import mosaic
from fmtt.report.comparison.run_summary import RunSummary
from fmtt.run_folder import Array, as_seen, read_samples
from fmtt.studies.runs import finished_runs, grouped, values_of

Blocks = Mapping[tuple[str, str], RunSummary]


def blocks_of(folders: Sequence[Path], rows: str, columns: str) -> Blocks:
    """The first finished run for each pair of values, in the order in which they come.

    Args:
        rows, columns: a setting, or several that are joined by a plus.
    """

    def place(run: RunSummary) -> tuple[str, str]:
        return values_of(run.settings, rows.split("+")), values_of(run.settings, columns.split("+"))

    return {key: runs[0] for key, runs in grouped(finished_runs(folders), place).items()}


def block(folder: Path, shown: int) -> tuple[Array, float]:
    """A picture of the first samples that a run returned, and the mean reward of them all."""
    arrays = as_seen(read_samples(folder))
    index = np.arange(len(arrays["selected"])), arrays["selected"]
    return mosaic(arrays["samples"][index][:shown]), arrays["rewards"][index].mean()


def draw_gallery(found: Blocks, shown: int) -> Figure:
    """One row and one column for each value; ``shown`` samples in a block."""
    down, across = (list(dict.fromkeys(key[k] for key in found)) for k in (0, 1))
    pictures = {key: block(run.folder, shown) for key, run in found.items()}
    tallest = max(picture.shape[0] / picture.shape[1] for picture, _ in pictures.values())
    size = (1 + 1.5 * len(across), 0.4 + (0.25 + 1.45 * tallest) * len(down))
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(len(down), len(across), squeeze=False)
    for row, name in enumerate(down):
        for column, title in enumerate(across):
            axis = axes[row, column]
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set_visible(False)
            if row == 0:
                axis.set_xlabel(title.replace(" ", "\n"), fontsize=9, fontweight="bold")
                axis.xaxis.set_label_position("top")
            if column == 0:
                axis.set_ylabel(name.replace(" ", "\n"), fontsize=9, fontweight="bold")
            if (name, title) not in pictures:
                continue
            picture, reward = pictures[name, title]
            axis.imshow(picture)
            axis.text(0.5, -0.02, f"{reward:.3g}", fontsize=8, color="#475569",
                      ha="center", va="top", transform=axis.transAxes)  # fmt: skip
    return figure


def write_gallery(folders: Sequence[Path], rows: str, columns: str, shown: int, out: Path) -> None:
    """Write the picture to ``out``.

    Raises:
        ValueError: if there are no finished runs.
    """
    figure = draw_gallery(blocks_of(folders, rows, columns), shown)
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=110)
