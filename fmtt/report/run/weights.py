"""The weights at the end on a run's page."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np

from fmtt.report.common import html
from fmtt.report.common.palette import INK, TILTED
from fmtt.report.common.placement import normalised_weights
from fmtt.report.run.charts import CHART_LAYOUT
from fmtt.run_folder import Array

LEAST = -6.0  # log10 of a weight in units of the mean; smaller weights are all in the first bar
MOST = 40  # bars, at most about so many
WIDTHS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)  # of the bars, in decades


def weights(log_weights: Array) -> tuple[str, str]:
    """A histogram of the weights at the end, in units of the mean of their group; a sentence if all are equal.

    Args:
        log_weights: ``(G, N)``.
    """
    shares = normalised_weights(log_weights.astype(float))
    groups, particles = shares.shape
    if np.allclose(shares * particles, 1, rtol=1e-6):
        return "<p>All weights are equal at the end: every particle counts as much as any other.</p>", ""
    effective = float((1 / (shares**2).sum(axis=1)).mean())
    edges, counts = bins(shares * particles)
    values = 10**edges
    words = [f"{low:.3g} to {high:.3g}" for low, high in pairwise(values)]
    trace = {
        "type": "bar",
        "x": ((edges[:-1] + edges[1:]) / 2).tolist(),
        "y": counts.tolist(),
        "width": float(edges[1] - edges[0]),
        "text": words,
        "textposition": "none",
        "marker": {"color": TILTED, "line": {"color": "#ffffff", "width": 1}},
        "hovertemplate": "%{y} with a weight of %{text}<extra></extra>",
    }
    marks = ticks(edges[0], edges[-1])
    mean = {"type": "line", "x0": 0, "x1": 0, "yref": "paper", "y0": 0, "y1": 1}
    name = {"text": "mean", "x": 0, "yref": "paper", "y": 1, "yanchor": "bottom", "showarrow": False}
    layout = {
        **CHART_LAYOUT,
        "hovermode": "closest",
        "margin": {**CHART_LAYOUT["margin"], "t": 52},  # room for the name of the line below Plotly's buttons
        "xaxis": {**html.AXIS, "title": {"text": "weight (1: the mean of its group)"},
                  "range": [edges[0], edges[-1]], "tickvals": np.log10(marks).tolist(),
                  "ticktext": [tick_text(mark) for mark in marks]},
        "yaxis": {**html.AXIS, "title": {"text": "particles"}, "rangemode": "tozero",
                  **({"dtick": 1} if counts.max() <= 5 else {})},
        "shapes": [{**mean, "line": {"color": INK, "width": 2, "dash": "dash"}}],
        "annotations": [name],
    }  # fmt: skip
    whole = f" in a group, on average over {groups} groups" if groups > 1 else ""
    sentence = f"The weights count as much as {effective:.3g} equal ones of {particles}{whole} (ESS)."
    light = int((shares * particles < 10**LEAST).sum())
    caption = f"The first bar holds all that are lighter than {10**LEAST:f} too." if light else ""
    place = html.chart("weights", f"Histogram of the weights at the end. {sentence}", 360, caption)
    return f"<p>{sentence}</p>{place}", html.draw("weights", [trace], layout)


def bins(multiples: Array) -> tuple[Array, Array]:
    """A histogram over the decimal logarithm, one edge at 0; values below :data:`LEAST` are in the first bar.

    Returns:
        Edges ``(B + 1,)`` and counts ``(B,)``, of about :data:`MOST` bars or fewer.
    """
    logs = np.log10(np.maximum(multiples.ravel(), 10**LEAST))
    width = next((width for width in WIDTHS if np.ptp(logs) <= MOST * width), WIDTHS[-1])
    place = np.floor(logs / width).astype(int)
    first = place.min()
    counts = np.bincount(place - first)
    return np.arange(first, first + len(counts) + 1) * width, counts


def ticks(low: float, high: float) -> list[float]:
    """Round numbers between two decimal logarithms: powers of ten, and 2 and 5 times those if there is room."""
    digits = (1, 2, 5) if high - low <= 3 else (1,)
    powers = range(math.floor(low), math.ceil(high) + 1)
    marks = [digit * 10.0**power for power in powers for digit in digits]
    return [mark for mark in marks if low - 1e-9 <= math.log10(mark) <= high + 1e-9]


def tick_text(mark: float) -> str:
    """A round number as Plotly writes it: 0.02, 5, or a power of ten."""
    return f"{mark:g}" if mark >= 0.001 else f"10<sup>\N{MINUS SIGN}{-math.log10(mark):.0f}</sup>"
