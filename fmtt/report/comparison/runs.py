"""The runs of a comparison, found below any folders; a run that failed or is damaged is one of them."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from fmtt.report.comparison.run_summary import RunSummary, first_line, read_run_summary
from fmtt.report.comparison.settings import Settings, read_settings
from fmtt.report.comparison.sweep import natural_order
from fmtt.run_folder import HISTORY, HYDRA, METRICS, PROMPTS, RETURNED, Array, read_history, read_prompts, read_returned

MARKS = (HYDRA, METRICS)  # a folder with one of them is a run
DAMAGE = (
    OSError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    yaml.YAMLError,
    csv.Error,
)  # the errors of a file that was cut off or edited


@dataclass(frozen=True)
class ComparedRun:
    """A run of a comparison.

    Attributes:
        folder: where it lies.
        summary: its name, status and metrics.
        settings: of a broken run, those that can be read.
        history: a column ``(steps,)`` for each name; empty unless the run is done.
        prompts: the rows of ``prompts.csv``; empty without prompts, or unless the run is done.
        returned: the rows of ``returned.csv``; likewise.
        damaged: the files that cannot be read, and why; the results are there all the same.
    """

    folder: Path
    summary: RunSummary
    settings: Settings
    history: Mapping[str, Array]
    prompts: Sequence[Mapping[str, str]] = ()
    returned: Sequence[Mapping[str, str]] = ()
    damaged: tuple[str, ...] = ()


def find_runs(paths: Sequence[Path]) -> tuple[Path, list[ComparedRun]]:
    """The folder that all runs have in common, and the runs below ``paths`` in the order of their numbers.

    Raises:
        ValueError: if a path is no folder, or holds no run.
    """
    found: set[Path] = set()
    for path in paths:
        if not path.is_dir():
            raise ValueError(f"{path}: there is no such folder")
        below = set(runs_below(path.resolve()))
        if not below:
            raise ValueError(f"{path}: no runs in it")
        found |= below
    parents = {path.parent if is_run(path) else path for path in (path.resolve() for path in paths)}
    common = Path(os.path.commonpath(parents))
    return common, [read_run(run, run.relative_to(common).as_posix()) for run in sorted(found, key=natural_order)]


def is_run(folder: Path) -> bool:
    return any((folder / mark).exists() for mark in MARKS)


def runs_below(folder: Path) -> Iterator[Path]:
    """The run folders in ``folder``, which may be one itself; the search does not go into a run."""
    if is_run(folder):
        yield folder
        return
    for child in folder.iterdir() if os.access(folder, os.R_OK | os.X_OK) else ():  # closed folders are skipped
        if child.is_dir() and not child.is_symlink():  # a link may lead to a folder above, and the search would not end
            yield from runs_below(child)


def read_run(folder: Path, name: str) -> ComparedRun:
    """The run in ``folder``, as far as it can be read."""
    return with_details(read_run_summary(folder, name))


def with_details(summary: RunSummary) -> ComparedRun:
    """The run of a summary, with its settings and its history; ``damaged`` names those that cannot be read."""
    folder = summary.folder.resolve()
    settings, history, damaged = Settings(summary.settings, {}), {}, []  # the typed settings are known anyway
    prompts, returned = list[dict[str, str]](), list[dict[str, str]]()
    try:
        settings = read_settings(folder, summary.settings)
    except DAMAGE as error:
        damaged.append(f"the configuration cannot be read: {first_line(error)}")
    try:
        history = read_history(folder) if summary.done else {}
    except DAMAGE as error:
        damaged.append(f"{HISTORY} cannot be read: {first_line(error)}")
    try:
        if summary.done:
            prompts, returned = read_prompts(folder), read_returned(folder)
            if not all(row["text"] for row in prompts) or not all(row["group"].isdigit() for row in returned):
                raise ValueError("a row was cut off")
    except DAMAGE as error:
        prompts, returned = [], []
        damaged.append(f"{PROMPTS} or {RETURNED} cannot be read: {first_line(error)}")
    return ComparedRun(folder, summary, settings, history, prompts, returned, tuple(damaged))
