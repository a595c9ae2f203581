"""What the script of the comparison works with: every run as settings, estimates and curves, in few digits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from fmtt.report import html
from fmtt.report.gather import Run
from fmtt.report.histories import QUANTITIES, common_grid, curves
from fmtt.report.page import COSTS, RESULTS
from fmtt.report.record import estimate
from fmtt.report.sweep import columns
from fmtt.run_folder import Array

COLUMNS = ("reward/weighted_mean", "reward/selected_mean", "reward/max", "log_z/mean", "ess/final",
           "nfe/weighted/group", "nfe/forward", "nfe/backward", "nfe/reward", "time/method_s")  # fmt: skip


def state_of(run: Run) -> str:
    """``done``, ``failed``, ``unfinished`` or ``broken``."""
    return run.entry.status.split(":")[0]


def name_of(metric: str) -> str:
    return {**RESULTS, **COSTS}.get(metric, (metric, ""))[0]


def metrics_of(runs: Sequence[Run]) -> list[str]:
    return columns([run.entry for run in runs])[1]


def constants(runs: Sequence[Run], names: Sequence[str], links: Sequence[str | None]) -> dict[str, Any]:
    """All that the script of the page works with."""
    done = [run for run in runs if run.entry.status == "done"]
    metrics = metrics_of(done)
    grid = common_grid([run.history for run in done])
    return {
        "NAMES": names,
        "METRICS": metrics,
        "TITLES": {name: name_of(name) for name in (*metrics, *COLUMNS)},
        "COLUMNS": [name for name in COLUMNS if name in metrics],
        "QUANTITIES": list(QUANTITIES),
        "GRID": grid.tolist(),
        "RUNS": [data_of(run, names, metrics, grid, target) for run, target in zip(runs, links, strict=True)],
        "LAYOUT": {**html.LAYOUT, "margin": {"l": 60, "r": 16, "t": 8, "b": 48}, "showlegend": False},
        "AXIS": html.AXIS,
    }


def data_of(run: Run, names: Sequence[str], metrics: Sequence[str], grid: Array, target: str | None) -> dict[str, Any]:
    """A run as the script knows it; estimates and curves stand in the order of the metrics and quantities."""
    typed = " ".join(f"{name}={value}" for name, value in run.entry.settings.items())
    settings = [run.settings.value(name) for name in names]
    told = " ".join(f"{name}={value}" for name, value in zip(names, settings, strict=True))
    lines = curves(run.history, grid) if run.history else {}
    return {
        "name": run.entry.name,
        "link": target,
        "done": run.entry.status == "done",
        "text": f"{run.entry.name} {run.entry.status} {told} {typed}".lower(),
        "settings": [*settings, state_of(run)],
        "estimates": [_pair(*estimate(run.entry.metrics, name)) for name in metrics] if run.entry.metrics else [],
        "curves": [[short(value, 5) for value in lines[name]] if name in lines else None for name in QUANTITIES],
    }


def _pair(value: float, error: float) -> list[float] | None:
    return None if math.isnan(value) else [short(value, 7), short(error, 4)]


def short(value: float, digits: int) -> float:
    """Rounded to so many digits, so that hundreds of runs fit into a page."""
    rounded = float(f"{value:.{digits}g}")
    return int(rounded) if rounded.is_integer() and abs(rounded) < 1e15 else rounded
