"""Confidence intervals of what independent groups estimate."""

from __future__ import annotations

import math
from statistics import NormalDist

from torch import Tensor

from fmtt.smc.diagnostics import log_mean_and_error

LEVEL = 0.95  # of all intervals
MANY = 1000  # degrees of freedom from which on Student's law is taken for the normal law


def student_quantile(degrees: int, level: float = LEVEL) -> float:
    """The t with ``P(|T| < t) = level``, for Student's law with ``degrees`` of freedom.

    By bisection of the finite series for whole degrees (Abramowitz and Stegun 26.7.3 and 26.7.4).
    """
    if degrees >= MANY:
        return NormalDist().inv_cdf((1 + level) / 2)
    low, high = 0.0, math.pi / 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _within(middle, degrees) < level else (low, middle)
    return math.sqrt(degrees) * math.tan(low)


def _within(angle: float, degrees: int) -> float:
    """``P(|T| < sqrt(degrees) tan(angle))``."""
    odd, square = degrees % 2, math.cos(angle) ** 2
    term = math.cos(angle) if odd else 1.0
    total = 0.0
    for k in range(1 + odd, degrees, 2):
        total += term
        term *= square * k / (k + 1)
    total *= math.sin(angle)
    return 2 / math.pi * (angle + total) if odd else total


def around(value: float, error: float, level: float = LEVEL) -> tuple[float, float]:
    """The interval by the normal law around ``value``, whose standard error is known."""
    half = NormalDist().inv_cdf((1 + level) / 2) * error
    return value - half, value + half


def log_mean_interval(log_values: Tensor, level: float = LEVEL) -> tuple[float, float]:
    """An interval for the log of the mean of exponentials of independent ``log_values (G,)``, of at least two."""
    mean, error = log_mean_and_error(log_values)
    half = student_quantile(len(log_values) - 1, level) * error
    return mean - half, mean + half
