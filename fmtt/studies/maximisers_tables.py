"""Tables and figures of :mod:`fmtt.studies.maximisers`."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from fmtt.files import write_whole
from fmtt.studies.maximisers import Comparison, Returned, compare, interval
from fmtt.studies.output import COLORS, MARKERS, markdown_table, write_study

QUALITIES = ("success", "reward", "recognised", "diversity")
MOST = 8  # lines in a panel
FORMATS = {"success": "{:.0%}", "recognised": "{:.0%}", "reward": "{:.3f}", "diversity": "{:.2f}"}


def written(one: Returned, quality: str) -> str:
    """The mean of a quality with its interval, ``87% (79%, 92%)``."""
    values = one.qualities[quality]
    mean, (low, high) = values.mean().item(), interval(values)
    return "{} ({}, {})".format(*(FORMATS[quality].format(number) for number in (mean, low, high)))


def quality_table(comparison: Comparison, task: str, quality: str) -> str:
    """A row for each method, a column for each cost; what no rival dominates is bold."""
    costs = [cost for cost in comparison.costs if (task, cost) in comparison.cells]
    rows = []
    for method in ranked(comparison, [task]):
        row = [method]
        for cost in costs:
            one = comparison.cells[task, cost].get(method)
            text = "" if one is None else written(one, quality)
            free = one is not None and not comparison.beaten.get(((task, cost), method))
            row.append(f"**{text}**" if free else text)
        rows.append(row)
    return markdown_table([f"{task}: {quality}", *(f"at {cost:g}" for cost in costs)], rows)


def distance_table(comparison: Comparison, task: str) -> str | None:
    """The kernel distances to real samples of the wanted kind with their errors; None where there are none."""
    costs = [cost for cost in comparison.costs if (task, cost) in comparison.cells]
    rows = []
    for method in ranked(comparison, [task]):
        found = [comparison.cells[task, cost].get(method) for cost in costs]
        rows.append(
            [method, *("" if one is None or one.kid is None else "{:.4f} ± {:.4f}".format(*one.kid) for one in found)]
        )
    if not any(cell for row in rows for cell in row[1:]):
        return None
    return markdown_table([f"{task}: kernel distance to real ones", *(f"at {cost:g}" for cost in costs)], rows)


def dominance_table(comparison: Comparison) -> str:
    """A row for each method: in how many cells it is dominated, and by whom."""
    rows = []
    for method in ranked(comparison, comparison.tasks):
        own = [rivals for (_, name), rivals in comparison.beaten.items() if name == method]
        by = Counter(rival for rivals in own for rival in rivals)
        said = ", ".join(f"{rival} ({count})" for rival, count in by.most_common(5))
        rows.append([method, f"{sum(map(bool, own))} of {len(own)}", said])
    return markdown_table(["method", "dominated in cells", "by"], rows)


def ranked(comparison: Comparison, tasks: Sequence[str]) -> list[str]:
    """The methods by their mean success over cells of ``tasks``, the best first."""
    means: dict[str, list[float]] = {}
    for (task, _), methods in comparison.cells.items():
        if task in tasks:
            for name, one in methods.items():
                means.setdefault(name, []).append(one.qualities["success"].mean().item())
    return sorted(means, key=lambda name: -sum(means[name]) / len(means[name]))


def write_cells(comparison: Comparison, path: Path) -> None:
    """A CSV with a row for each method in each cell: all qualities with their intervals, costs and rivals."""
    text = io.StringIO()
    names = [f"{quality}{end}" for quality in QUALITIES for end in ("", "/low", "/high")]
    writer = csv.writer(text)
    writer.writerow(
        ["task", "budget", "method", "samples", "cost", "seconds", *names, "kid", "kid/stderr", "dominated_by"]
    )
    for cell, methods in comparison.cells.items():
        for name, one in methods.items():
            numbers = [
                number
                for quality in QUALITIES
                for number in (one.qualities[quality].mean().item(), *interval(one.qualities[quality]))
            ]
            rivals = " ".join(comparison.beaten.get((cell, name), []))
            samples, kid = len(one.qualities["reward"]), one.kid or ("", "")
            costs = (f"{one.cost:.2f}", f"{one.seconds:.4f}")
            writer.writerow([*cell, name, samples, *costs, *(f"{n:.5g}" for n in numbers), *kid, rivals])
    write_whole(path, text.getvalue())


def draw_success(comparison: Comparison, most: int | None = MOST, columns: int = 3) -> Figure:
    """A panel for each task: the share of successes against cost, with intervals; the ``most`` best methods of all."""
    tasks, methods = comparison.tasks, ranked(comparison, comparison.tasks)[:most]
    rows = -(-len(tasks) // columns)
    figure = Figure(figsize=(4.2 * columns, 3.3 * rows + 0.6), dpi=100, layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    for axis in grid.flat[len(tasks) :]:
        axis.set_axis_off()
    for axis, task in zip(grid.flat, tasks, strict=False):
        for number, method in enumerate(methods):
            cells = [
                methods_there[method]
                for (own, _), methods_there in sorted(comparison.cells.items())
                if own == task and method in methods_there
            ]
            shares = [one.qualities["success"] for one in cells]
            y = [100 * values.mean().item() for values in shares]
            ends = [[100 * end for end in interval(values)] for values in shares]
            error = [[mean - low for mean, (low, _) in zip(y, ends, strict=True)],
                     [high - mean for mean, (_, high) in zip(y, ends, strict=True)]]  # fmt: skip
            axis.errorbar([one.cost for one in cells], y, error, label=method, color=COLORS[number % len(COLORS)],
                          marker=MARKERS[number % len(MARKERS)], markersize=4, linewidth=1.3)  # fmt: skip
        axis.set(xscale="log", ylim=(-3, 103), title=task, xlabel="cost, forward evaluations", ylabel="success, %")
        axis.grid(color="#e2e8f0")
    handles, labels = grid[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, fontsize=8, frameon=False)
    return figure


def study_maximisers(folders: Sequence[Path], out: Path) -> str:
    """Write ``OUT.md``, ``OUT.csv``, and the figures ``OUT.png`` and ``OUT_all.png``; returns the tables.

    Raises:
        ValueError: as :func:`fmtt.studies.maximisers.compare`.
    """
    comparison = compare(folders)
    tables = [
        table
        for task in comparison.tasks
        for table in (*(quality_table(comparison, task, name) for name in QUALITIES), distance_table(comparison, task))
        if table is not None
    ]
    text = "\n\n".join([dominance_table(comparison), *tables])
    write_study(out, text, draw_success(comparison))
    write_cells(comparison, out.with_suffix(".csv"))
    draw_success(comparison, most=None).savefig(out.with_name(f"{out.stem}_all.png"))
    return text
