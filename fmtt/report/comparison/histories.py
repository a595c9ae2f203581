"""Histories of many runs on one grid of times: they can be averaged, and the page stays small."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from fmtt.run_folder import Array

MOST, LEAST = 60, 10  # points of a curve
ALL = 30_000  # points of the curves of all runs together, so that pages of thousands of runs can be opened
DECIMALS = 6  # of a time: then runs that compute k / steps in different ways have the same times
QUANTITIES = {
    "reward/mean": "Reward, mean",
    "reward/max": "Reward, best",
    "ess": "ESS / N",
    "log_z": "log Z",
    "discrepancy": "Discrepancy",
    "nfe/forward": "Network, forward",
}


def common_grid(histories: Sequence[Mapping[str, Array]]) -> Array:
    """Times ``(K,)``: those of all runs if they are few, else equally spaced from first to last.

    There are at most MOST of them; with very many runs fewer, so that all curves together have at most ALL points.
    """
    most = max(LEAST, min(MOST, ALL // max(len(histories), 1)))
    times = [np.round(history["t"], DECIMALS) for history in histories if "t" in history]
    every = np.unique(np.concatenate([time[np.isfinite(time)] for time in times])) if times else np.zeros(0)
    return every if len(every) <= most else np.linspace(every[0], every[-1], most).round(DECIMALS)


def on_grid(t: Array, values: Array, grid: Array) -> Array:
    """``values (steps,)`` at the times ``t (steps,)``, interpolated to ``grid (K,)``.

    NaN before the first value and after the last: a reward, for example, is not known before a step computes it.
    """
    t = np.round(t, DECIMALS)
    known = np.isfinite(t) & np.isfinite(values)
    times, first = np.unique(t[known], return_index=True)
    if len(times) == 0:
        return np.full(len(grid), np.nan)
    return np.interp(grid, times, values[known][first], left=np.nan, right=np.nan)


def curves_on_grid(history: Mapping[str, Array], grid: Array) -> dict[str, Array]:
    """The quantities of a run on ``grid (K,)``, ``(K,)`` each; those without any number are left out."""
    if "t" not in history:
        return {}
    found = {name: on_grid(history["t"], history[name], grid) for name in QUANTITIES if name in history}
    return {name: values for name, values in found.items() if np.isfinite(values).any()}
