"""The page of the statistical suite: QQ plots, convergence, mutants."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from fmtt.report.common import html
from tests.validation.problems import Score

NAMES = {"z": "Z", "mean": "first moment", "square": "second moment"}


def write_page(
    folder: Path,
    scores: Sequence[Score],
    groups: Sequence[Any],
    orders: Sequence[Any],
    mutants: Sequence[Any],
    wrong: Sequence[str],
    minutes: float,
) -> Path:
    """``report.html`` in ``folder``."""
    verdict = "all checks pass" if not wrong else f"{len(wrong)} checks fail"
    weights = sorted({entry.weights for entry in scores})
    places, script = [], []
    for kind in weights:
        members = [entry for entry in scores if entry.weights == kind]
        name = f"qq-{kind}"
        label = f"Quantiles of {len(members)} scores with {kind} weights against those of the normal law"
        places.append(html.chart(name, label, 380, caption=label))
        script.append(qq(name, members))
    body = [
        f"<header><h1>Validation: {verdict}</h1><p class='soft'>{len(scores)} random problems, {minutes:.0f} minutes."
        " A score is the deviation from the closed form in standard errors over 64 independent groups.</p>",
        *(f"<p class='warning'>{html.escape(line)}</p>" for line in wrong),
        "</header>",
        html.section("Are the scores standard normal?", *places, group_table(groups)),
        html.section("Convergence in the step", order_table(orders)),
        html.section("Mutants", mutant_table(mutants)),
    ]
    path = folder / "report.html"
    path.write_text(html.document("fmtt: validation", body, "\n".join(script)), encoding="utf-8")
    return path


def qq(name: str, scores: Sequence[Score]) -> str:
    """The script of one QQ plot with the three statistics."""
    count = len(scores)
    expected = torch.special.ndtri((torch.arange(count, dtype=torch.float64) + 0.5) / count).tolist()
    traces: list[dict[str, Any]] = [
        {"x": expected, "y": sorted(getattr(entry, key) for entry in scores), "mode": "markers", "name": label,
         "marker": {"size": 5}}
        for key, label in NAMES.items()
    ]  # fmt: skip
    end = max(abs(expected[0]), abs(expected[-1]))
    line = {"x": [-end, end], "y": [-end, end], "mode": "lines", "name": "normal law", "line": {"color": "#94a3b8"}}
    axes = {"xaxis": {**html.AXIS, "title": "expected"}, "yaxis": {**html.AXIS, "title": "found"}}
    return html.draw(name, [*traces, line], axes)


def group_table(groups: Sequence[Any]) -> str:
    head = ["problems with", "problems", "mean score", "rms score", "sqrt(n) D", "variance of Z", "evaluations"]
    rows = [
        [g.name, str(g.count), f"{g.mean:+.3f}", f"{g.rms:.3f}", f"{g.distance:.2f}", f"{g.variance:.3g}",
         f"{g.evaluations:.1f}"]
        for g in groups
    ]  # fmt: skip
    caption = (
        "Mean should be 0 and rms 1; sqrt(n) D, the worst of the three statistics, exceeds 1.95 by chance once in a"
        " thousand. Variance: median over problems of the relative variance of one group's estimate of Z with 16"
        " particles. Evaluations: of the model per particle and step, a backward one counted twice."
    )
    return html.table(head, rows, numeric=range(1, 7), caption=caption)


def order_table(orders: Sequence[Any]) -> str:
    steps = orders[0].steps if orders else ()
    head = ["", *(f"{k} steps" for k in steps), "order"]
    rows = [
        [o.name, *(f"{e:+.4f} ± {u:.4f}" for e, u in zip(o.errors, o.uncertainties, strict=True)),
         "within the noise" if o.order != o.order else f"{o.order:.2f} ± {o.uncertainty:.2f}"]
        for o in orders
    ]  # fmt: skip
    caption = (
        "Relative error of Z on a mixture of three Gaussians. Kernel weights are exact for the finite chain; what is"
        " left is the chain's own error. Without noise the flow map leaves none."
    )
    return html.table(head, rows, numeric=range(1, len(head)), caption=caption)


def mutant_table(mutants: Sequence[Any]) -> str:
    rows = [[m.name, f"{m.right:.1f}", f"{m.mutated:.1f}"] for m in mutants]
    caption = "Largest deviation in standard errors: below 4 if right, above 6 if caught"
    return html.table(["mistake", "right sampler", "with the mistake"], rows, numeric=[1, 2], caption=caption)
