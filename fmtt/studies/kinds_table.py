"""A table of sweeps with a row for each kind of run, and a picture of their samples on the plane."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from fmtt.report.common.estimates import Estimate, mean_and_error, text_of
from fmtt.report.comparison.kinds import Kind, differing
from fmtt.run_folder import read_samples
from fmtt.studies.output import markdown_table


def estimate_of(kind: Kind, name: str) -> Estimate:
    """The estimate of a metric over the runs of a kind; of an error too, such as ``log_z/stderr``."""
    values = np.array([run.metrics.get(name, math.nan) for run in kind.runs], dtype=float)
    return kind.estimates.get(name) or mean_and_error(values[np.isfinite(values)])


def _cell(estimate: Estimate) -> str:
    """The number, with its error if that is known; nothing for NaN."""
    value, error = estimate
    return "" if math.isnan(value) else text_of(value, error)


def kinds_table(kinds: Sequence[Kind], metrics: Sequence[str]) -> str:
    """A row for each kind, a column for each setting in which kinds differ, and one for each metric."""
    settings = differing(kinds)
    rows = [
        [*(kind.settings.get(name, "") for name in settings), *(_cell(estimate_of(kind, name)) for name in metrics)]
        for kind in kinds
    ]
    return markdown_table([*settings, *metrics], rows)


def draw_kinds(kinds: Sequence[Kind], columns: int = 4) -> Figure:
    """A panel for each kind, with the first of its runs: points of the plane.

    The base samples are grey; the tilted ones are blue, and fainter if they weigh less than the mean.
    """
    rows, settings = math.ceil(len(kinds) / columns), differing(kinds)
    figure = Figure(figsize=(3.2 * columns, 3.3 * rows))
    axes = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    for axis in axes.flat:
        axis.set_axis_off()
    for axis, kind in zip(axes.flat, kinds, strict=False):
        arrays = read_samples(kind.runs[0].folder)
        weights = np.exp(arrays["log_weights"] - arrays["log_weights"].max(1, keepdims=True))
        if "base" in arrays:
            axis.scatter(*arrays["base"].reshape(-1, 2).T, s=1, color="#cbd5e1")
        opacity = np.minimum(weights / weights.mean(), 1).flatten()
        axis.scatter(*arrays["samples"].reshape(-1, 2).T, s=1, color="#2563eb", alpha=opacity)
        axis.set_title("\n".join(f"{name}={kind.settings[name]}" for name in settings if name in kind.settings), size=7)
        axis.set_aspect("equal")
    figure.tight_layout()
    return figure
