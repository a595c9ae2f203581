"""The axes of all PNG files of a run."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from fmtt.report.common.palette import FAINT

DPI = 100


def grid_of_axes(columns: int, rows: int, size: tuple[float, float], sharey: bool) -> tuple[Figure, list[Axes]]:
    """A figure of ``size`` in inches, and its axes row by row."""
    layout = ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.14, wspace=0.03, rect=(0, 0, 1, 0.985))
    figure = Figure(figsize=size, dpi=DPI, facecolor="white", layout=layout)
    grid = figure.subplots(rows, columns, sharex=True, sharey=sharey, squeeze=False)
    for axes in grid.flat:
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(color="#e2e8f0", linewidth=0.8)
        axes.set_axisbelow(True)
        axes.tick_params(labelsize=10, colors=FAINT)
    return figure, list(grid.flat)
