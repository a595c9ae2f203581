"""A finished run, read from its folder into one record."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fmtt import run_folder
from fmtt.run_folder import Array, Metrics
from fmtt.tracking import hydra_choices


@dataclass(frozen=True)
class Record:
    """A finished run.

    Attributes:
        folder: where it lies.
        config: the resolved configuration as YAML.
        metrics: flat names; numbers, or lists with one number per group.
        history: a column ``(steps,)`` for each name.
        environment: versions, commit, device.
        overrides: what the user typed, ``key=value``.
        choices: what was chosen in each config group.
        arrays: the particles at the end, as in :data:`fmtt.run_folder.SAMPLES_ARRAYS`.
        film: frames of the population on its way, as in :data:`fmtt.run_folder.FILM_ARRAYS`; nothing if none were kept.
    """

    folder: Path
    config: str
    metrics: Metrics
    history: Mapping[str, Array]
    environment: Mapping[str, Any]
    overrides: tuple[str, ...]
    choices: Mapping[str, str]
    arrays: Mapping[str, Array]
    film: Mapping[str, Array]


def read_record(folder: Path) -> Record:
    """Read a finished run.

    Raises:
        FileNotFoundError: if the metrics, the history, the configuration or the samples are missing.
    """
    return Record(
        folder=folder,
        config=(folder / run_folder.CONFIG).read_text(),
        metrics=run_folder.read_metrics(folder),
        history=run_folder.read_history(folder),
        environment=run_folder.read_environment(folder),
        overrides=run_folder.read_overrides(folder),
        choices=hydra_choices(folder),
        arrays=run_folder.read_samples(folder),
        film=run_folder.read_film(folder),
    )


def estimate(metrics: Metrics, name: str) -> tuple[float, float]:
    """A metric and its standard error (NaN where there is none).

    A list is averaged over its groups; the error of a number is ``<name>/stderr``, that of ``log_z/mean`` is
    ``log_z/stderr``.
    """
    value = metrics.get(name, math.nan)
    if isinstance(value, list):
        return mean_and_error(np.array(value, dtype=float))
    if not isinstance(value, int | float):  # a text, where another run has a number
        return math.nan, math.nan
    return float(value), float(metrics.get(error_name(metrics, name), math.nan))


def error_name(metrics: Metrics, name: str) -> str:
    """What the standard error of a metric is called: ``log_z/stderr`` for ``log_z/mean``, else ``<name>/stderr``."""
    short = name.removesuffix("/mean") + "/stderr"
    return short if short in metrics else f"{name}/stderr"


def mean_and_error(values: Array) -> tuple[float, float]:
    """Mean of ``(G,)`` and its standard error; NaN without values, and as the error of a single one."""
    if len(values) == 0:
        return math.nan, math.nan
    error = values.std(ddof=1) / math.sqrt(len(values)) if len(values) > 1 else math.nan
    return float(values.mean()), float(error)


def is_estimate(name: str, value: Any) -> bool:
    """Whether a metric is a quantity of its own: a number, or a list with one number per group.

    Standard errors are not, nor are histograms over classes and exact vectors.
    """
    if name.endswith("/stderr") or isinstance(value, bool):
        return False
    if isinstance(value, list):
        return bool(value) and not name.startswith(("classes/", "exact/"))
    return isinstance(value, int | float)


def text_of(value: float, error: float = math.nan) -> str:
    """``-0.09 ± 0.01`` with the digits that mean something; ``n/a`` for NaN."""
    if math.isnan(value):
        return "n/a"
    if not math.isfinite(error) or error <= abs(value) * 1e-12:  # what rounding leaves of equal numbers is no error
        text = f"{value:,.0f}" if float(value).is_integer() and abs(value) < 1e15 else f"{value:.4g}"
    else:
        decimals = max(0, 1 - math.floor(math.log10(error)))  # two digits of the error
        text = f"{value:.{decimals}f} ± {error:.{decimals}f}"
    return text.replace("-", "\N{MINUS SIGN}")
