"""Cost and quality of many methods: which are Pareto-optimal, which lead, and which are clearly beaten."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

Quality = tuple[float, float | None]  # value and standard error, if that is known


@dataclass(frozen=True)
class MethodPoint:
    """One method at one budget on one task.

    Attributes:
        task, method: their names.
        budget: what a group was allowed to cost.
        cost: what it cost in fact.
        seconds: of a group.
        quality: the measured quantities by name, each with its standard error; larger is better.
        kept: whether the samples are still samples of the model, as the caller judges it.
    """

    task: str
    method: str
    budget: float
    cost: float
    seconds: float
    quality: Mapping[str, Quality]
    kept: bool


def undominated(points: Sequence[MethodPoint], names: Sequence[str], price: str = "cost") -> list[MethodPoint]:
    """The points of one task that no other beats; one beats if it is at most as dear and, by the means, as good in all.

    ``price`` is ``cost`` or ``seconds``.
    """

    def better(one: MethodPoint, other: MethodPoint) -> bool:
        pairs = [(one.quality[name][0], other.quality[name][0]) for name in names]
        mine, theirs = getattr(one, price), getattr(other, price)
        return mine <= theirs and all(a >= b for a, b in pairs) and (mine < theirs or any(a > b for a, b in pairs))

    return [point for point in points if not any(better(other, point) for other in points)]


def leaders(points: Sequence[MethodPoint], name: str) -> list[MethodPoint]:
    """The points of one task and budget that cannot be told from the best by two standard errors, the best first."""
    if not points:
        return []
    ranked = sorted(points, key=lambda point: -point.quality[name][0])
    value, error = ranked[0].quality[name]
    return [
        point
        for point in ranked
        if value - point.quality[name][0] <= 2 * np.hypot(error or 0.0, point.quality[name][1] or 0.0)
    ]


def clearly_beaten(
    points: Sequence[MethodPoint], method: str, names: Sequence[str]
) -> list[tuple[MethodPoint, MethodPoint]]:
    """The points of ``method`` that another beats beyond chance, each with the best such; variants count as the method.

    The other has the same task and at most the budget, is kept, is better in the first of ``names`` by more than two
    standard errors, and in none of them worse by more.
    """

    def gap(one: MethodPoint, other: MethodPoint, name: str) -> tuple[float, float]:
        (a, error), (b, other_error) = one.quality[name], other.quality[name]
        return a - b, 2 * math.hypot(error or 0.0, other_error or 0.0)

    def beats(one: MethodPoint, other: MethodPoint) -> bool:
        first, *rest = [gap(one, other, name) for name in names]
        in_reach = one.kept and one.task == other.task and one.budget <= other.budget
        return in_reach and first[0] > first[1] and all(by >= -chance for by, chance in rest)

    pairs = []
    for point in (point for point in points if is_variant(point, method)):
        better = [other for other in points if not is_variant(other, method) and beats(other, point)]
        if better:
            pairs.append((point, max(better, key=lambda other: other.quality[names[0]][0])))
    return pairs


def is_variant(point: MethodPoint, method: str) -> bool:
    """Whether a point is one of ``method``, perhaps with further settings."""
    return point.method == method or point.method.startswith(f"{method}, ")


def budgets(points: Sequence[MethodPoint]) -> list[float]:
    """All budgets, from small to large."""
    return sorted({point.budget for point in points})
