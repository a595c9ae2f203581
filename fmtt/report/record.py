"""What a run folder says: its files read into one record (section 6 of the design says what lies there)."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import OmegaConf

from fmtt.tracking import hydra_choices

Array = np.ndarray
Metrics = Mapping[str, Any]


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
        arrays: ``samples (G, N, *D)``, ``log_weights (G, N)``, ``rewards (G, N)``, ``selected (G,)``, and perhaps
            ``base (G, N, *D)``, ``base_rewards (G, N)``, ``ancestors (G, N)``.
        film: F frames of the population on its way, as :mod:`fmtt.run.film` says; nothing where none were kept.
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
        FileNotFoundError: if ``metrics.json``, ``history.csv``, ``config.yaml`` or ``samples.safetensors`` is missing.
    """
    from safetensors.numpy import load_file

    environment, film = folder / "environment.json", folder / "film.safetensors"
    return Record(
        folder=folder,
        config=(folder / "config.yaml").read_text(),
        metrics=read_metrics(folder),
        history=read_history(folder / "history.csv"),
        environment=json.loads(environment.read_text()) if environment.is_file() else {},
        overrides=read_overrides(folder),
        choices=hydra_choices(folder),
        arrays=load_file(folder / "samples.safetensors"),
        film=load_file(film) if film.is_file() else {},
    )


def read_metrics(folder: Path) -> Metrics:
    """``metrics.json`` with NaN where it has null.

    Raises:
        FileNotFoundError: if there is none.
        ValueError: if it is not a JSON object.
    """
    metrics = json.loads((folder / "metrics.json").read_text())
    if not isinstance(metrics, dict):
        raise ValueError("metrics.json does not hold an object")
    return {name: _with_nan(value) for name, value in metrics.items()}


def _with_nan(value: Any) -> Any:
    if isinstance(value, list):
        return [_with_nan(entry) for entry in value]
    return math.nan if value is None else value


def read_history(path: Path) -> dict[str, Array]:
    """The columns of ``history.csv``, ``(steps,)`` each; NaN where a cell is empty or not a number."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    names = rows[0].keys() if rows else ()
    return {name: np.array([_number(row[name]) for row in rows]) for name in names}


def _number(text: str | None) -> float:
    if text in ("True", "False"):
        return float(text == "True")
    try:
        return float(text or "nan")
    except ValueError:
        return math.nan


def read_overrides(folder: Path) -> tuple[str, ...]:
    """What the user typed, from ``.hydra/overrides.yaml``; nothing where Hydra was not used."""
    record = folder / ".hydra" / "overrides.yaml"
    return tuple(OmegaConf.load(record)) if record.is_file() else ()


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
