"""The interactive charts of a run's page; a function returns a place on the page and the script that fills it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import numpy as np

from fmtt.report.common import html
from fmtt.report.common.palette import BASE, BEST, ESS, LOG_Z, RESAMPLED, TILTED
from fmtt.run_folder import Array, Metrics

CHART_LAYOUT: dict[str, Any] = {
    "margin": {"l": 60, "r": 16, "t": 8, "b": 44},
    "hovermode": "x unified",
    "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
}


def curves(history: Mapping[str, Array], base_reward: float, otherwise: str) -> tuple[str, str]:
    """Reward, ESS and log Z over t, one above the other.

    Args:
        history: columns ``(steps,)``; a column that is missing or holds no number is left out.
        base_reward: mean reward of the base model, drawn as a line unless it is NaN.
        otherwise: shown without JavaScript.
    """
    t = history.get("t", np.zeros(0))
    lines = [
        ("reward/mean", "reward, mean", TILTED, "y3"),
        ("reward/max", "reward, best", BEST, "y3"),
        ("ess", "ESS / N", ESS, "y2"),
        ("log_z", "log Z", LOG_Z, "y"),
    ]
    traces = [
        _line(t, history[name], label, color, axis)
        for name, label, color, axis in lines
        if name in history and np.isfinite(history[name]).any()
    ]
    if len(t) and np.isfinite(base_reward):
        trace = _line(t[[0, -1]], np.full(2, base_reward), "base model, mean", BASE, "y3")
        traces.append({**trace, "line": {"color": BASE, "width": 2, "dash": "dash"}})
    marks = t[history["resampled"] > 0] if "resampled" in history else t[:0]
    if len(marks):
        trace = _line(marks, np.full(len(marks), 0.03), "resampled", RESAMPLED, "y2")
        marker = {"symbol": "triangle-up", "size": 9, "color": RESAMPLED}
        traces.append({**trace, "mode": "markers", "marker": marker, "hovertemplate": "yes"})
    time = {"title": {"text": "sampling time t (0 noise, 1 data)"}, "anchor": "y", "range": [-0.01, 1.01]}
    layout = {
        **CHART_LAYOUT,
        "xaxis": {**html.AXIS, **time},
        "yaxis3": {**html.AXIS, "title": {"text": "reward"}, "domain": [0.62, 1]},
        "yaxis2": {**html.AXIS, "title": {"text": "ESS / N"}, "domain": [0.32, 0.56], "range": [0, 1.05]},
        "yaxis": {**html.AXIS, "title": {"text": "log Z"}, "domain": [0, 0.26]},
    }
    label = "Line charts of reward, effective sample size and log Z over the sampling time"
    return html.chart("curves", label, 620, otherwise=otherwise), html.draw("curves", traces, layout)


def _line(x: Array, y: Array, label: str, color: str, axis: str) -> dict[str, Any]:
    return {
        "x": x.tolist(),
        "y": y.tolist(),
        "name": label,
        "mode": "lines",
        "line": {"color": color, "width": 2},
        "yaxis": axis,
        "hovertemplate": "%{y:.4g}",
    }


def classes(metrics: Metrics) -> tuple[str, str]:
    """Shares of the classes among base and tilted samples, by the evaluation classifier."""
    kinds = [("classes/base", "base model", BASE), ("classes/tilted", "tilted", TILTED)]
    bars = [(cast(list[float], metrics[name]), label, color) for name, label, color in kinds if name in metrics]
    names = [str(number) for number in range(len(bars[0][0]))]
    traces = [
        {"type": "bar", "x": names, "y": shares, "name": label, "marker": {"color": color}, "hovertemplate": "%{y:.1%}"}
        for shares, label, color in bars
    ]
    layout = {
        **CHART_LAYOUT,
        "barmode": "group",
        "xaxis": {**html.AXIS, "title": {"text": "class"}, "type": "category"},
        "yaxis": {**html.AXIS, "title": {"text": "share of the samples"}, "tickformat": ".0%", "rangemode": "tozero"},
    }
    rows = [[name, *(f"{shares[number]:.1%}" for shares, _, _ in bars)] for number, name in enumerate(names)]
    numbers = html.table(["Class", *(label for _, label, _ in bars)], rows, numeric=range(1, len(bars) + 1))
    caption = "Judged by the evaluation classifier, which no reward uses."
    place = html.chart("classes", "Bar chart of the shares of the classes", 320, caption=caption)
    return place + html.folded("The shares as numbers", numbers), html.draw("classes", traces, layout)
