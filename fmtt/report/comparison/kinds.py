"""Runs that differ in their seeds only, averaged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fmtt.report.common.estimates import estimate, mean_and_error
from fmtt.report.comparison.run_summary import RunSummary, metric_names
from fmtt.report.comparison.settings import SEEDS


@dataclass(frozen=True)
class Kind:
    """The runs that differ in their seeds only.

    Attributes:
        settings: what they have in common.
        runs: those that are done.
        estimates: for each metric its mean over runs and the standard error; of a single run, its own.
    """

    settings: Mapping[str, str]
    runs: tuple[RunSummary, ...]
    estimates: Mapping[str, tuple[float, float]]


def average(runs: Sequence[RunSummary]) -> list[Kind]:
    """The runs that are done, those that differ in their seeds only taken together."""
    kinds: dict[tuple[tuple[str, str], ...], list[RunSummary]] = {}
    for run in runs:
        if run.done:
            key = tuple((name, value) for name, value in run.settings.items() if name not in SEEDS)
            kinds.setdefault(key, []).append(run)
    return [Kind(dict(key), tuple(runs), _estimates(runs)) for key, runs in kinds.items()]


def _estimates(runs: Sequence[RunSummary]) -> dict[str, tuple[float, float]]:
    if len(runs) == 1:
        return {name: estimate(runs[0].metrics, name) for name in metric_names(runs)}
    values = {name: np.array([estimate(run.metrics, name)[0] for run in runs]) for name in metric_names(runs)}
    return {name: mean_and_error(known[np.isfinite(known)]) for name, known in values.items()}


def differing(kinds: Sequence[Kind]) -> list[str]:
    """The settings that tell kinds apart; all of them if there is but one."""
    names = list(dict.fromkeys(name for kind in kinds for name in kind.settings))
    different = [name for name in names if len({kind.settings.get(name) for kind in kinds}) > 1]
    return different if len(kinds) > 1 else names
