"""A picture of cost and quality."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from fmtt.studies.output import COLORS, MARKERS
from fmtt.studies.pareto import MethodPoint

FLOOR = 1e-4  # what is nearer to the maximum is drawn here


def draw_points(points: Sequence[MethodPoint], names: Sequence[str], method: str) -> Figure:
    """A row of panels for each task: every quantity against cost, with its standard error, then against seconds.

    Hollow marks are points that are not kept; ``method`` is drawn in black. A quantity that is nowhere above zero is
    drawn as its distance from zero, logarithmic, and with the best on top.
    """
    below = {name: all(point.quality[name][0] <= 0 for point in points) for name in names}
    tasks = list(dict.fromkeys(point.task for point in points))
    methods = list(dict.fromkeys(point.method for point in points))
    columns = [("cost", name) for name in names] + [("seconds", names[0])]
    figure = Figure(figsize=(4.6 * len(columns), 3.8 * len(tasks) + 0.8), dpi=100, layout="constrained")
    grid = figure.subplots(len(tasks), len(columns), squeeze=False)
    for row, task in zip(grid, tasks, strict=True):
        for axes, (price, name) in zip(row, columns, strict=True):
            for number, kind in enumerate(methods):
                line = [point for point in points if (point.task, point.method) == (task, kind)]
                line.sort(key=lambda point: point.budget)
                if not line:
                    continue
                x = np.array([getattr(point, price) for point in line])
                y = np.array([point.quality[name][0] for point in line])
                error = np.array([point.quality[name][1] or 0.0 for point in line])
                low, high = y - error, y + error
                if below[name]:
                    y, low, high = (np.maximum(-values, FLOOR) for values in (y, low, high))
                color = "black" if kind == method else COLORS[number % len(COLORS)]
                axes.plot(x, y, color=color, linewidth=1.4 + (kind == method), label=kind)
                axes.fill_between(x, low, high, color=color, alpha=0.12)
                for point, here, there in zip(line, x, y, strict=True):
                    fill = color if point.kept else "white"
                    marker = MARKERS[number % len(MARKERS)]
                    axes.plot(here, there, marker=marker, color=color, markerfacecolor=fill, markersize=6)
            axes.set_xscale("log")
            axes.xaxis.set_minor_locator(LogLocator(subs=(2, 5)))  # the labels of more would overlap
            axes.set_xlabel("cost of a group, network evaluations" if price == "cost" else "seconds for a group")
            if below[name]:
                axes.set_yscale("log")
                axes.invert_yaxis()
            title = f"{task}: {name.removeprefix('minus ')}{', distance from 0' if below[name] else ''}"
            axes.set_title(title, loc="left", fontsize=11, fontweight="bold")
            axes.grid(color="#e2e8f0")
    handles, labels = grid[0][0].get_legend_handles_labels()
    for number, handle in enumerate(handles):
        handle.set_marker(MARKERS[number % len(MARKERS)])
    figure.legend(handles, labels, loc="outside lower center", ncols=min(7, len(labels)), fontsize=9, frameon=False)
    return figure
