"""A picture of what methods return: ``python scripts/gallery.py FOLDER ... --rows NAME --columns NAME [--out FILE]``.

A block of the returned samples of the first seed for each pair of values of two settings, such as ``--rows reward
--columns mode``; several are joined by a plus: ``--columns mode+lookahead``. Their mean reward stands below.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from safetensors.numpy import load_file

from fmtt.report.common.pixels import mosaic
from fmtt.report.comparison.run_summary import RunSummary
from fmtt.report.comparison.settings import values_of
from fmtt.report.comparison.sweep import read_sweep
from fmtt.run_folder import SAMPLES


def blocks(folders: list[Path], rows: str, columns: str) -> dict[tuple[str, str], tuple[Path, RunSummary]]:
    """The first finished run for each pair of values, in the order in which they come."""
    found: dict[tuple[str, str], tuple[Path, RunSummary]] = {}
    for folder in folders:
        for entry in read_sweep(folder):
            if entry.status == "done":
                place = (values_of(entry.settings, rows.split("+")), values_of(entry.settings, columns.split("+")))
                found.setdefault(place, (folder / entry.name, entry))
    return found


def returned(folder: Path, shown: int) -> tuple[np.ndarray, float]:
    """A picture of the first samples that a run returned, and the mean reward of them all."""
    arrays = load_file(folder / SAMPLES)
    index = np.arange(len(arrays["selected"])), arrays["selected"]
    return mosaic(arrays["samples"][index][:shown]), arrays["rewards"][index].mean()


def draw(path: Path, found: dict[tuple[str, str], tuple[Path, RunSummary]], shown: int) -> None:
    """One row and one column for each value; ``shown`` samples in a block."""
    down, across = (list(dict.fromkeys(key[k] for key in found)) for k in (0, 1))
    pictures = {key: returned(folder, shown) for key, (folder, _) in found.items()}
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
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--rows", required=True)
    parser.add_argument("--columns", required=True)
    parser.add_argument("--shown", type=int, default=4, help="samples in a block")
    parser.add_argument("--out", type=Path, default=Path("outputs/gallery.png"))
    options = parser.parse_args()
    found = blocks(options.folders, options.rows, options.columns)
    if not found:
        sys.exit(f"no finished runs below {', '.join(map(str, options.folders))}")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    draw(options.out, found, options.shown)
    print(options.out)


if __name__ == "__main__":
    main()
