"""Tables and sentences about cost and quality, in Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fmtt.studies.pareto import MethodPoint, budgets, clearly_beaten, is_variant, leaders, undominated


def budget_table(points: Sequence[MethodPoint], name: str, digits: int = 3) -> str:
    """Markdown: a row for each method, a column for each budget.

    The best of the points that are kept is bold, with all that cannot be told from it; points that are not kept are
    struck out.
    """
    lines = []
    for task in dict.fromkeys(point.task for point in points):
        mine = [point for point in points if point.task == task]
        columns = budgets(mine)
        lines += [f"**{task}**", "", f"| {name} at a cost of | {' | '.join(f'{b:g}' for b in columns)} |"]
        lines.append(f"|---|{'---|' * len(columns)}")
        first = {b: leaders([c for c in mine if c.budget == b and c.kept], name) for b in columns}
        for method in dict.fromkeys(point.method for point in mine):
            row = {point.budget: point for point in mine if point.method == method}
            texts = [_one_quantity(row.get(b), first[b], name, digits) for b in columns]
            lines.append(f"| {method} | {' | '.join(texts)} |")
        lines.append("")
    return "\n".join(lines)


def _one_quantity(point: MethodPoint | None, first: Sequence[MethodPoint], name: str, digits: int) -> str:
    if point is None:
        return ""
    value, error = point.quality[name]
    return _marked(f"{value:.{digits}f}" + ("" if error is None else f" ± {error:.{digits}f}"), point, first)


def summary_table(points: Sequence[MethodPoint], formats: Mapping[str, str], columns: Sequence[float]) -> str:
    """Markdown: a table for each task at a few budgets, with several quantities in one cell.

    The first quantity decides about the marks, which are those of :func:`budget_table`, and about the order of the
    methods, which is that at the largest budget.

    Args:
        formats: the names of the quantities, and how to write each.
        columns: the budgets.
    """
    name = next(iter(formats))
    lines = []
    for task in dict.fromkeys(point.task for point in points):
        mine = [point for point in points if point.task == task and point.budget in columns]
        first = {b: leaders([c for c in mine if c.budget == b and c.kept], name) for b in columns}
        lines.append(f"| {task}: {', '.join(formats)} | {' | '.join(f'at {budget:g}' for budget in columns)} |")
        lines.append(f"|---|{'---|' * len(columns)}")
        best = sorted(mine, key=lambda point: (-point.budget, -point.quality[name][0]))
        for method in dict.fromkeys(point.method for point in best):
            row = {point.budget: point for point in mine if point.method == method}
            texts = [_all_quantities(row[b], first[b], formats) if b in row else "" for b in columns]
            lines.append(f"| {method} | {' | '.join(texts)} |")
        lines.append("")
    return "\n".join(lines)


def _all_quantities(point: MethodPoint, first: Sequence[MethodPoint], formats: Mapping[str, str]) -> str:
    return _marked(", ".join(f"{point.quality[name][0]:{form}}" for name, form in formats.items()), point, first)


def _marked(text: str, point: MethodPoint, first: Sequence[MethodPoint]) -> str:
    return f"**{text}**" if point in first else text if point.kept else f"~~{text}~~"


def optimal_points(points: Sequence[MethodPoint], names: Sequence[str], price: str = "cost") -> str:
    """Text: for each task the undominated points in price and ``names`` among those kept, from cheap to dear."""
    lines = []
    for task in dict.fromkeys(point.task for point in points):
        mine = [point for point in points if point.task == task and point.kept]
        best = sorted(undominated(mine, names, price), key=lambda point: getattr(point, price))
        shown = [
            f"{point.method} at {getattr(point, price):.3g} ({names[0]} {point.quality[names[0]][0]:.3f})"
            for point in best
        ]
        lines.append(f"{task}: Pareto-optimal in {price}, {' and '.join(names)}: {'; '.join(shown) or 'nothing'}")
    return "\n".join(lines)


def defeats(points: Sequence[MethodPoint], names: Sequence[str], method: str) -> str:
    """Text: in how many points each method is clearly beaten; for ``method``, by which other and by how much."""
    lines = []
    for other in dict.fromkeys(point.method.split(", ")[0] for point in points):
        mine = [point for point in points if is_variant(point, other)]
        beaten, kept = len(clearly_beaten(points, other, names)), sum(point.kept for point in mine)
        lines.append(f"{other}: kept in {kept} of {len(mine)} cells, clearly beaten in {beaten}")
    for point, winner in clearly_beaten(points, method, names):
        by = winner.quality[names[0]][0] - point.quality[names[0]][0]
        lines.append(
            f"- {point.task}, {point.method} at {point.budget:g}: by {by:.2g}, {winner.method} at {winner.budget:g}"
        )
    return "\n".join(lines)
