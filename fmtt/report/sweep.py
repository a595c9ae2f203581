"""The runs of a sweep: read from their folders, one row each in ``summary.csv``, and averaged over seeds."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fmtt.report.record import error_name, estimate, is_estimate, mean_and_error
from fmtt.run_folder import COMPARISON, HYDRA, SUMMARY, Metrics, read_error, read_metrics, read_overrides

SEEDS = ("seed",)  # the settings over which runs of one kind are averaged


@dataclass(frozen=True)
class Entry:
    """One run of a sweep.

    Attributes:
        name: its folder, relative to the sweep's.
        settings: what was overridden.
        status: ``done``; ``failed: ...`` with the reason; ``unfinished``; ``broken: ...`` if its files cannot be read.
        metrics: nothing unless it is done.
    """

    name: str
    settings: Mapping[str, str]
    status: str
    metrics: Metrics


@dataclass(frozen=True)
class Kind:
    """The runs that differ in their seeds only.

    Attributes:
        settings: what they have in common.
        runs: those that are done.
        estimates: for each metric its mean over runs and the standard error; of a single run, its own.
    """

    settings: Mapping[str, str]
    runs: tuple[Entry, ...]
    estimates: Mapping[str, tuple[float, float]]


def write_sweep(folder: Path) -> list[Entry]:
    """``summary.csv`` and ``compare.html``; returns the runs."""
    from fmtt.report.compare import write_page
    from fmtt.report.gather import complete

    entries = read_sweep(folder)
    write_summary(folder / SUMMARY, entries)
    runs = [complete((folder / entry.name).resolve(), entry) for entry in entries]
    write_page(folder / COMPARISON, folder.resolve(), runs)
    return entries


def failures(entries: Sequence[Entry]) -> list[str]:
    """A line for each run that failed: its folder, the settings in which runs differ, and the reason."""
    names = dict.fromkeys(name for entry in entries for name in entry.settings)
    different = [name for name in names if len({entry.settings.get(name) for entry in entries}) > 1]
    return [
        " ".join([entry.name, *(f"{name}={entry.settings[name]}" for name in different if name in entry.settings)])
        + f" {entry.status}"
        for entry in entries
        if entry.status.startswith(("failed", "broken"))
    ]


def read_sweep(folder: Path) -> list[Entry]:
    """Every run below ``folder``, in the order of their numbers; a broken one is an entry that says so."""
    runs = {record.parent for record in folder.glob(f"**/{HYDRA}") if record.parent != folder}
    return [read_entry(run, run.relative_to(folder).as_posix()) for run in sorted(runs, key=natural)]


def natural(path: Path) -> list[tuple[bool, int, str]]:
    """The key that sorts folders with 9 before 10."""
    return [(not part.isdigit(), int(part) if part.isdigit() else 0, part) for part in path.parts]


def read_entry(run: Path, name: str) -> Entry:
    settings: Mapping[str, str] = {}
    try:
        settings = parse(read_overrides(run))
        if error := read_error(run):
            return Entry(name, settings, f"failed: {error[1]}", {})
        metrics = read_metrics(run)
        for metric in columns([Entry(name, settings, "done", metrics)])[1]:
            estimate(metrics, metric)  # raises if a list holds anything but numbers
        return Entry(name, settings, "done", metrics)
    except FileNotFoundError:
        return Entry(name, settings, "unfinished", {})
    except Exception as error:  # whatever is wrong with one run must not hide the others
        return Entry(name, settings, f"broken: {brief(error)}", {})


def brief(error: Exception) -> str:
    """The first line of what an error says."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def parse(overrides: Sequence[str]) -> dict[str, str]:
    """``key=value`` to a dictionary; Hydra's ``+`` and ``++`` are dropped and ``~key`` is a deletion."""
    pairs = (word.lstrip("+").partition("=") for word in overrides)
    return {key.lstrip("~"): "deleted" if key.startswith("~") else value for key, _, value in pairs}


def columns(entries: Sequence[Entry]) -> tuple[list[str], list[str]]:
    """The names of all settings and of all metrics, in the order in which they first appear."""
    settings = dict.fromkeys(key for entry in entries for key in entry.settings)
    metrics = dict.fromkeys(
        name
        for entry in entries
        for name, value in entry.metrics.items()
        if is_estimate(name, value) and f"{name}/mean" not in entry.metrics  # log_z/mean sums up the list log_z
    )
    return list(settings), list(metrics)


def write_summary(path: Path, entries: Sequence[Entry]) -> None:
    """One row per run: its folder, status, settings, and every metric with its standard error where it has one."""
    settings, metrics = columns(entries)
    measured = [{name: estimate(entry.metrics, name) for name in metrics} for entry in entries]
    with_error = [name for name in metrics if any(not math.isnan(row[name][1]) for row in measured)]
    head = ["run", "status", *settings]
    for name in metrics:
        known = next(entry.metrics for entry in entries if name in entry.metrics)
        head += [name, error_name(known, name)] if name in with_error else [name]
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(head)
        for entry, row in zip(entries, measured, strict=True):
            cells = [entry.name, entry.status, *(entry.settings.get(key, "") for key in settings)]
            for name in metrics:
                cells += [_cell(number) for number in row[name][: 2 if name in with_error else 1]]
            writer.writerow(cells)


def _cell(number: float) -> str:
    if math.isnan(number):
        return ""
    return repr(int(number) if number.is_integer() else number)


def average(entries: Sequence[Entry]) -> list[Kind]:
    """The runs that are done, those that differ in their seeds only taken together."""
    kinds: dict[tuple[tuple[str, str], ...], list[Entry]] = {}
    for entry in entries:
        if entry.status == "done":
            key = tuple((name, value) for name, value in entry.settings.items() if name not in SEEDS)
            kinds.setdefault(key, []).append(entry)
    return [Kind(dict(key), tuple(runs), _estimates(runs)) for key, runs in kinds.items()]


def _estimates(runs: Sequence[Entry]) -> dict[str, tuple[float, float]]:
    if len(runs) == 1:
        return {name: estimate(runs[0].metrics, name) for name in columns(runs)[1]}
    values = {name: np.array([estimate(run.metrics, name)[0] for run in runs]) for name in columns(runs)[1]}
    return {name: mean_and_error(known[np.isfinite(known)]) for name, known in values.items()}


def differing(kinds: Sequence[Kind]) -> list[str]:
    """The settings that tell kinds apart; all of them if there is but one."""
    names = list(dict.fromkeys(name for kind in kinds for name in kind.settings))
    different = [name for name in names if len({kind.settings.get(name) for kind in kinds}) > 1]
    return different if len(kinds) > 1 else names
