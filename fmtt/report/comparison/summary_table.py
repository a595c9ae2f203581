"""``summary.csv``: one row for each run of a sweep."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from pathlib import Path

from fmtt.files import whole
from fmtt.report.common.estimates import error_name, estimate
from fmtt.report.comparison.run_summary import RunSummary, metric_names, setting_names
from fmtt.run_folder import SUMMARY


def write_summary(folder: Path, runs: Sequence[RunSummary]) -> None:
    """Write the table into ``folder``; a metric has its standard error in the next column, if any run knows it."""
    settings, metrics = setting_names(runs), metric_names(runs)
    measured = [{name: estimate(run.metrics, name) for name in metrics} for run in runs]
    with_error = [name for name in metrics if any(not math.isnan(row[name][1]) for row in measured)]
    head = ["run", "status", *settings]
    for name in metrics:
        known = next(run.metrics for run in runs if name in run.metrics)
        head += [name, error_name(known, name)] if name in with_error else [name]
    with whole(folder / SUMMARY) as partial, partial.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(head)
        for run, row in zip(runs, measured, strict=True):
            cells = [run.name, run.status, *(run.settings.get(key, "") for key in settings)]
            for name in metrics:
                cells += [_cell(number) for number in row[name][: 2 if name in with_error else 1]]
            writer.writerow(cells)


def _cell(number: float) -> str:
    if math.isnan(number):
        return ""
    return repr(int(number) if number.is_integer() else number)
