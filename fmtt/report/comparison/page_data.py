"""The data for the script of the comparison page: settings, estimates and curves of each run, in few digits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fmtt.report.common import html
from fmtt.report.common.estimates import estimate
from fmtt.report.common.metric_titles import COSTS, metric_title
from fmtt.report.comparison.histories import QUANTITIES, common_grid, curves_on_grid
from fmtt.report.comparison.prompts import metrics_by_prompt, pictures_link, prompt_data, prompts_of, verdict_names
from fmtt.report.comparison.run_summary import metric_names
from fmtt.report.comparison.runs import ComparedRun
from fmtt.run_folder import Array

REWARDS = ("reward/weighted_mean", "reward/selected_mean", "reward/max")
COLUMNS = ("log_z/mean", "ess/final", "nfe/weighted/group", "nfe/forward", "nfe/backward", "nfe/reward",
           "time/method_s")  # fmt: skip


def state_of(run: ComparedRun) -> str:
    """``done``, ``failed``, ``unfinished`` or ``broken``."""
    return run.summary.status.split(":")[0]


def metrics_of(runs: Sequence[ComparedRun]) -> list[str]:
    """The names of the metrics of some runs."""
    return metric_names([run.summary for run in runs])


def constants(
    runs: Sequence[ComparedRun], names: Sequence[str], links: Sequence[str | None], page: Path
) -> dict[str, Any]:
    """The constants of the script of ``page``, by their names in it."""
    done = [run for run in runs if run.summary.done]
    metrics = metrics_of(done)
    grid = common_grid([run.history for run in done])
    verdicts, told = verdict_names(done), prompts_of(done)
    by_prompt = metrics_by_prompt(done, metrics)
    columns = (*REWARDS, *(f"{name}/selected" for name in verdicts), *COLUMNS)
    return {
        "NAMES": names,
        "METRICS": metrics,
        "TITLES": {name: metric_title(name) for name in (*metrics, *columns)},
        "COLUMNS": [name for name in columns if name in metrics],
        "QUANTITIES": list(QUANTITIES),
        "GRID": grid.tolist(),
        "COSTS": list(COSTS),
        "PROMPTS": [[text, category] for text, category in told.items()],
        "BY_PROMPT": by_prompt,
        "VERDICTS": [name.replace("_", " ") for name in verdicts],
        "RUNS": [
            data_of(run, names, metrics, grid, target)
            | prompt_data(run, list(told), by_prompt, verdicts)
            | {"pictures": pictures_link(run, page)}
            for run, target in zip(runs, links, strict=True)
        ],
        "LAYOUT": {**html.LAYOUT, "margin": {"l": 60, "r": 16, "t": 8, "b": 48}, "showlegend": False},
        "AXIS": html.AXIS,
    }


def data_of(
    run: ComparedRun, names: Sequence[str], metrics: Sequence[str], grid: Array, target: str | None
) -> dict[str, Any]:
    """A run as the script knows it; estimates and curves stand in the order of the metrics and quantities."""
    typed = " ".join(f"{name}={value}" for name, value in run.summary.settings.items())
    settings = [run.settings.value(name) for name in names]
    told = " ".join(f"{name}={value}" for name, value in zip(names, settings, strict=True))
    lines = curves_on_grid(run.history, grid) if run.history else {}
    return {
        "name": run.summary.name,
        "link": target,
        "done": run.summary.done,
        "text": f"{run.summary.name} {run.summary.status} {told} {typed}".lower(),
        "settings": [*settings, state_of(run)],
        "estimates": [_pair(*estimate(run.summary.metrics, name)) for name in metrics] if run.summary.metrics else [],
        "curves": [[rounded(value, 5) for value in lines[name]] if name in lines else None for name in QUANTITIES],
    }


def _pair(value: float, error: float) -> list[float] | None:
    return None if math.isnan(value) else [rounded(value, 7), rounded(error, 4)]


def rounded(value: float, digits: int) -> float:
    """Rounded to so many digits, so that hundreds of runs fit into a page."""
    few = float(f"{value:.{digits}g}")
    return int(few) if few.is_integer() and abs(few) < 1e15 else few
