"""The runs of a comparison: found below any folders, each read once, whatever state it is in."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from fmtt.report.settings import Settings, read_settings
from fmtt.report.sweep import Entry, brief, natural, read_entry
from fmtt.run_folder import HISTORY, HYDRA, METRICS, Array, read_history

MARKS = (HYDRA, METRICS)  # a folder with one of them is a run
DAMAGE = (
    OSError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    yaml.YAMLError,
    csv.Error,
)  # of a file that was cut off or edited


@dataclass(frozen=True)
class Run:
    """A run of a comparison.

    Attributes:
        folder: where it lies.
        entry: its name, status and metrics.
        settings: of a broken run, those that can be read.
        history: a column ``(steps,)`` for each name; empty unless the run is done.
        damaged: what of it could not be read, and why; its results are there all the same.
    """

    folder: Path
    entry: Entry
    settings: Settings
    history: Mapping[str, Array]
    damaged: tuple[str, ...] = ()


def gather(paths: Sequence[Path]) -> tuple[Path, list[Run]]:
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
    return common, [read_run(run, run.relative_to(common).as_posix()) for run in sorted(found, key=natural)]


def is_run(folder: Path) -> bool:
    return any((folder / mark).exists() for mark in MARKS)


def runs_below(folder: Path) -> Iterator[Path]:
    """The run folders in ``folder``, itself perhaps; what lies inside a run is not looked at."""
    if is_run(folder):
        yield folder
        return
    for child in folder.iterdir() if os.access(folder, os.R_OK | os.X_OK) else ():  # what is closed is not ours
        if child.is_dir() and not child.is_symlink():  # a link may lead to a folder above
            yield from runs_below(child)


def read_run(folder: Path, name: str) -> Run:
    """Whatever of a run can be read; its entry says what is wrong with it."""
    return complete(folder, read_entry(folder, name))


def complete(folder: Path, entry: Entry) -> Run:
    """The run of an entry, with its settings and its history; without what is damaged, which it says."""
    settings, history, damaged = Settings(entry.settings, {}), {}, []  # what was typed tells enough
    try:
        settings = read_settings(folder, entry.settings)
    except DAMAGE as error:
        damaged.append(f"the configuration cannot be read: {brief(error)}")
    try:
        history = read_history(folder) if entry.status == "done" else {}
    except DAMAGE as error:
        damaged.append(f"{HISTORY} cannot be read: {brief(error)}")
    return Run(folder, entry, settings, history, tuple(damaged))
