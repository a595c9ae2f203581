"""A metric with its standard error, as numbers and as text."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, cast

import numpy as np

from fmtt.run_folder import Array, Metrics

Estimate = tuple[float, float]  # value and standard error; NaN if it is not known


def estimate(metrics: Metrics, name: str) -> Estimate:
    """A metric and its standard error (NaN if there is none).

    A list is averaged over its groups; the error of a number is ``<name>/stderr``, that of ``log_z/mean`` is
    ``log_z/stderr``.
    """
    value = metrics.get(name, math.nan)
    if isinstance(value, list):
        return mean_and_error(np.array(value, dtype=float))
    if not isinstance(value, int | float):  # a text; another run may have a number there
        return math.nan, math.nan
    return float(value), float(cast(float, metrics.get(error_name(metrics, name), math.nan)))


def error_name(metrics: Mapping[str, object], name: str) -> str:
    """The name of the standard error of a metric: ``log_z/stderr`` for ``log_z/mean``, else ``<name>/stderr``."""
    short = name.removesuffix("/mean") + "/stderr"
    return short if short in metrics else f"{name}/stderr"


def mean_and_error(values: Array) -> Estimate:
    """Mean of ``(G,)`` and its standard error; NaN without values, and as the error of a single one."""
    if len(values) == 0:
        return math.nan, math.nan
    error = values.std(ddof=1) / math.sqrt(len(values)) if len(values) > 1 else math.nan
    return float(values.mean()), float(error)


def is_estimate(name: str, value: Any) -> bool:
    """Whether a metric is a number, or a list with one number per group, that has a row of its own.

    Standard errors, histograms over classes and exact vectors have none.
    """
    if name.endswith("/stderr") or isinstance(value, bool):
        return False
    if isinstance(value, list):
        return bool(value) and not name.startswith(("classes/", "exact/"))
    return isinstance(value, int | float)


def text_of(value: float, error: float = math.nan) -> str:
    """``-0.09 ± 0.01`` with two digits of the error; ``n/a`` for NaN."""
    if math.isnan(value):
        return "n/a"
    if not math.isfinite(error) or error <= abs(value) * 1e-12:  # what rounding leaves of equal numbers is no error
        text = f"{value:,.0f}" if float(value).is_integer() and abs(value) < 1e15 else f"{value:.4g}"
    else:
        decimals = max(0, 1 - math.floor(math.log10(error)))  # two digits of the error
        text = f"{value:.{decimals}f} ± {error:.{decimals}f}"
    return text.replace("-", "\N{MINUS SIGN}")
