"""The runs of a sweep: all of them in short, and those that failed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fmtt.report.comparison.run_summary import RunSummary, read_run_summary, setting_names
from fmtt.run_folder import HYDRA


def read_sweep(folder: Path) -> list[RunSummary]:
    """Every run below ``folder``, in the order of their numbers; the status of a broken one says so."""
    runs = {record.parent for record in folder.glob(f"**/{HYDRA}") if record.parent != folder}
    return [read_run_summary(run, run.relative_to(folder).as_posix()) for run in sorted(runs, key=natural_order)]


def natural_order(path: Path) -> list[tuple[bool, int, str]]:
    """The key that sorts folders with 9 before 10."""
    return [(not part.isdigit(), int(part) if part.isdigit() else 0, part) for part in path.parts]


def failures(runs: Sequence[RunSummary]) -> list[str]:
    """A line for each run that failed: its folder, the settings in which runs differ, and the reason."""
    names = setting_names(runs)
    different = [name for name in names if len({run.settings.get(name) for run in runs}) > 1]
    return [
        " ".join([run.name, *(f"{name}={run.settings[name]}" for name in different if name in run.settings)])
        + f" {run.status}"
        for run in runs
        if run.status.startswith(("failed", "broken"))
    ]
