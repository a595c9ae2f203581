"""The cost-quality frontier of many methods: who is Pareto-optimal where, as a table and as a picture."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

Estimate = tuple[float, float | None]  # value and standard error, where one is known

MARKERS = "osD^vP*Xdh<>p"
# 13 marks and 14 colours, so that no pair of them comes twice
COLORS = ("#2563eb", "#dc2626", "#0f766e", "#b45309", "#7c3aed", "#0891b2", "#be185d", "#4d7c0f", "#475569", "#ea580c",
          "#1e3a8a", "#15803d", "#a21caf", "#854d0e")  # fmt: skip


@dataclass(frozen=True)
class Cell:
    """One method at one budget on one task.

    Attributes:
        task, method: their names.
        budget: what a group was allowed to cost.
        cost: what it did cost.
        seconds: of a group.
        quality: the measured quantities by name, each with its standard error; larger is better.
        kept: whether the samples are still samples of the model, as the caller judges it.
    """

    task: str
    method: str
    budget: float
    cost: float
    seconds: float
    quality: Mapping[str, Estimate]
    kept: bool


def undominated(cells: Sequence[Cell], names: Sequence[str], price: str = "cost") -> list[Cell]:
    """The cells of one task that no other beats: at most as dear, at least as good in all ``names`` by the means.

    ``price`` is ``cost`` or ``seconds``.
    """

    def better(one: Cell, other: Cell) -> bool:
        pairs = [(one.quality[name][0], other.quality[name][0]) for name in names]
        mine, theirs = getattr(one, price), getattr(other, price)
        return mine <= theirs and all(a >= b for a, b in pairs) and (mine < theirs or any(a > b for a, b in pairs))

    return [cell for cell in cells if not any(better(other, cell) for other in cells)]


def leaders(cells: Sequence[Cell], name: str) -> list[Cell]:
    """The cells of one task and budget that cannot be told from the best by two standard errors, the best first."""
    if not cells:
        return []
    ranked = sorted(cells, key=lambda cell: -cell.quality[name][0])
    value, error = ranked[0].quality[name]
    return [
        cell
        for cell in ranked
        if value - cell.quality[name][0] <= 2 * np.hypot(error or 0.0, cell.quality[name][1] or 0.0)
    ]


def clearly_beaten(cells: Sequence[Cell], method: str, names: Sequence[str]) -> list[tuple[Cell, Cell]]:
    """The cells of ``method`` that another beats beyond chance, each with the best such; variants count as the method.

    The other has the same task and at most the budget, is kept, is better in the first of ``names`` by more than two
    standard errors, and in none of them worse by more.
    """

    def gap(one: Cell, other: Cell, name: str) -> tuple[float, float]:
        (a, error), (b, other_error) = one.quality[name], other.quality[name]
        return a - b, 2 * math.hypot(error or 0.0, other_error or 0.0)

    def beats(one: Cell, other: Cell) -> bool:
        first, *rest = [gap(one, other, name) for name in names]
        in_reach = one.kept and one.task == other.task and one.budget <= other.budget
        return in_reach and first[0] > first[1] and all(by >= -chance for by, chance in rest)

    pairs = []
    for cell in (cell for cell in cells if is_variant(cell, method)):
        better = [other for other in cells if not is_variant(other, method) and beats(other, cell)]
        if better:
            pairs.append((cell, max(better, key=lambda other: other.quality[names[0]][0])))
    return pairs


def defeats(cells: Sequence[Cell], names: Sequence[str], method: str) -> str:
    """Text: in how many cells each method is clearly beaten, and for ``method`` by whom and by how much."""
    lines = []
    for other in dict.fromkeys(cell.method.split(", ")[0] for cell in cells):
        mine = [cell for cell in cells if is_variant(cell, other)]
        beaten, kept = len(clearly_beaten(cells, other, names)), sum(cell.kept for cell in mine)
        lines.append(f"{other}: kept in {kept} of {len(mine)} cells, clearly beaten in {beaten}")
    for cell, other in clearly_beaten(cells, method, names):
        by = other.quality[names[0]][0] - cell.quality[names[0]][0]
        lines.append(
            f"- {cell.task}, {cell.method} at {cell.budget:g}: by {by:.2g}, {other.method} at {other.budget:g}"
        )
    return "\n".join(lines)


def is_variant(cell: Cell, method: str) -> bool:
    return cell.method == method or cell.method.startswith(f"{method}, ")


def budgets(cells: Sequence[Cell]) -> list[float]:
    return sorted({cell.budget for cell in cells})


def table(cells: Sequence[Cell], name: str, digits: int = 3) -> str:
    """Markdown: a row for each method, a column for each budget.

    The best that keeps what is to be kept is bold, with all that cannot be told from it; the others are struck out.
    """
    lines = []
    for task in dict.fromkeys(cell.task for cell in cells):
        mine = [cell for cell in cells if cell.task == task]
        columns = budgets(mine)
        lines += [f"**{task}**", "", f"| {name} at a cost of | {' | '.join(f'{b:g}' for b in columns)} |"]
        lines.append(f"|---|{'---|' * len(columns)}")
        first = {b: leaders([c for c in mine if c.budget == b and c.kept], name) for b in columns}
        for method in dict.fromkeys(cell.method for cell in mine):
            row = {cell.budget: cell for cell in mine if cell.method == method}
            texts = [_text(row.get(b), first[b], name, digits) for b in columns]
            lines.append(f"| {method} | {' | '.join(texts)} |")
        lines.append("")
    return "\n".join(lines)


def _text(cell: Cell | None, first: Sequence[Cell], name: str, digits: int) -> str:
    if cell is None:
        return ""
    value, error = cell.quality[name]
    return _marked(f"{value:.{digits}f}" + ("" if error is None else f" ± {error:.{digits}f}"), cell, first)


def summary(cells: Sequence[Cell], formats: Mapping[str, str], columns: Sequence[float]) -> str:
    """Markdown: a table for each task at a few budgets, all quantities of ``formats`` in one cell, marked as in
    :func:`table` by the first of them; the methods in the order of that one where the budget is largest.

    ``formats`` are the names of the quantities, with how to write them.
    """
    name = next(iter(formats))
    lines = []
    for task in dict.fromkeys(cell.task for cell in cells):
        mine = [cell for cell in cells if cell.task == task and cell.budget in columns]
        first = {b: leaders([c for c in mine if c.budget == b and c.kept], name) for b in columns}
        lines.append(f"| {task}: {', '.join(formats)} | {' | '.join(f'at {budget:g}' for budget in columns)} |")
        lines.append(f"|---|{'---|' * len(columns)}")
        best = sorted(mine, key=lambda cell: (-cell.budget, -cell.quality[name][0]))
        for method in dict.fromkeys(cell.method for cell in best):
            row = {cell.budget: cell for cell in mine if cell.method == method}
            texts = [_brief(row[b], first[b], formats) if b in row else "" for b in columns]
            lines.append(f"| {method} | {' | '.join(texts)} |")
        lines.append("")
    return "\n".join(lines)


def _brief(cell: Cell, first: Sequence[Cell], formats: Mapping[str, str]) -> str:
    return _marked(", ".join(f"{cell.quality[name][0]:{form}}" for name, form in formats.items()), cell, first)


def _marked(text: str, cell: Cell, first: Sequence[Cell]) -> str:
    return f"**{text}**" if cell in first else text if cell.kept else f"~~{text}~~"


FLOOR = 1e-4  # what is nearer to the maximum is drawn here


def draw(path: Path, cells: Sequence[Cell], names: Sequence[str], method: str) -> None:
    """A row of panels for each task: every quantity against cost, with its standard error, then against seconds.

    Hollow marks are cells that are not kept; ``method`` is drawn in black. A quantity that is nowhere above zero is
    drawn as its distance from zero, logarithmic, and with the best on top.
    """
    below = {name: all(cell.quality[name][0] <= 0 for cell in cells) for name in names}
    tasks = list(dict.fromkeys(cell.task for cell in cells))
    methods = list(dict.fromkeys(cell.method for cell in cells))
    columns = [("cost", name) for name in names] + [("seconds", names[0])]
    figure = Figure(figsize=(4.6 * len(columns), 3.8 * len(tasks) + 0.8), dpi=100, layout="constrained")
    grid = figure.subplots(len(tasks), len(columns), squeeze=False)
    for row, task in zip(grid, tasks, strict=True):
        for axes, (price, name) in zip(row, columns, strict=True):
            for number, line in enumerate(methods):
                points = [cell for cell in cells if (cell.task, cell.method) == (task, line)]
                points.sort(key=lambda cell: cell.budget)
                if not points:
                    continue
                x = np.array([getattr(cell, price) for cell in points])
                y = np.array([cell.quality[name][0] for cell in points])
                error = np.array([cell.quality[name][1] or 0.0 for cell in points])
                low, high = y - error, y + error
                if below[name]:
                    y, low, high = (np.maximum(-values, FLOOR) for values in (y, low, high))
                color = "black" if line == method else COLORS[number % len(COLORS)]
                axes.plot(x, y, color=color, linewidth=1.4 + (line == method), label=line)
                axes.fill_between(x, low, high, color=color, alpha=0.12)
                for cell, here, there in zip(points, x, y, strict=True):
                    fill = color if cell.kept else "white"
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
    figure.savefig(path)


def optimal(cells: Sequence[Cell], names: Sequence[str], price: str = "cost") -> str:
    """Text: for each task the undominated cells in price and ``names`` among those kept, from cheap to dear."""
    lines = []
    for task in dict.fromkeys(cell.task for cell in cells):
        mine = [cell for cell in cells if cell.task == task and cell.kept]
        best = sorted(undominated(mine, names, price), key=lambda cell: getattr(cell, price))
        shown = [
            f"{cell.method} at {getattr(cell, price):.3g} ({names[0]} {cell.quality[names[0]][0]:.3f})" for cell in best
        ]
        lines.append(f"{task}: Pareto-optimal in {price}, {' and '.join(names)}: {'; '.join(shown) or 'nothing'}")
    return "\n".join(lines)
