"""A run in short: the words that made it, whether it is done, and its metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fmtt.report.common.estimates import estimate, is_estimate
from fmtt.run_folder import Metrics, read_error, read_metrics, read_overrides


@dataclass(frozen=True)
class RunSummary:
    """A run in short.

    Attributes:
        folder: where it lies.
        name: its folder, relative to the folder of the sweep or of the comparison.
        settings: what the user typed.
        status: ``done``; ``failed: ...`` with the reason; ``unfinished``; ``broken: ...`` if its files cannot be read.
        metrics: empty unless it is done.
    """

    folder: Path
    name: str
    settings: Mapping[str, str]
    status: str
    metrics: Metrics

    @property
    def done(self) -> bool:
        return self.status == "done"

    def number(self, metric: str) -> float:
        """A metric that is one number."""
        value = self.metrics[metric]
        assert not isinstance(value, list), f"{metric} is a list"
        return value

    def numbers(self, metric: str) -> list[float]:
        """A metric that is a list, such as one with a number for each group; a single number is a list of one."""
        value = self.metrics[metric]
        return value if isinstance(value, list) else [value]


def read_run_summary(folder: Path, name: str) -> RunSummary:
    """The summary of the run in ``folder``; if a file cannot be read, its status says so."""
    settings: Mapping[str, str] = {}
    try:
        settings = parse_overrides(read_overrides(folder))
        if error := read_error(folder):
            return RunSummary(folder, name, settings, f"failed: {error[1]}", {})
        run = RunSummary(folder, name, settings, "done", read_metrics(folder))
        for metric in metric_names([run]):
            estimate(run.metrics, metric)  # raises if a list holds anything but numbers
        return run
    except FileNotFoundError:
        return RunSummary(folder, name, settings, "unfinished", {})
    except Exception as error:  # whatever is wrong with one run must not hide the others
        return RunSummary(folder, name, settings, f"broken: {first_line(error)}", {})


def first_line(error: Exception) -> str:
    """The first line of what an error says."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def parse_overrides(overrides: Sequence[str]) -> dict[str, str]:
    """``key=value`` to a dictionary; Hydra's ``+`` and ``++`` are dropped and ``~key`` is a deletion."""
    pairs = (word.lstrip("+").partition("=") for word in overrides)
    return {key.lstrip("~"): "deleted" if key.startswith("~") else value for key, _, value in pairs}


def setting_names(runs: Sequence[RunSummary]) -> list[str]:
    """The names of all settings, in the order in which they first appear."""
    return list(dict.fromkeys(name for run in runs for name in run.settings))


def metric_names(runs: Sequence[RunSummary]) -> list[str]:
    """The names of all metrics that are numbers of their own, in the order in which they first appear."""
    return list(
        dict.fromkeys(
            name
            for run in runs
            for name, value in run.metrics.items()
            if is_estimate(name, value) and f"{name}/mean" not in run.metrics  # log_z/mean sums up the list log_z
        )
    )
