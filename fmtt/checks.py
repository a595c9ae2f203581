"""Checks of what users configure: each raises one line that names the value and what is allowed."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence


def whole_number(name: str, value: object, at_least: int) -> int:
    """``value`` as int; ValueError unless it is a whole number of at least ``at_least``."""
    if isinstance(value, bool) or not isinstance(value, int) or value < at_least:
        raise ValueError(f"{name}={value}: must be a whole number of at least {at_least}")
    return value


def finite(name: str, value: object) -> float:
    """``value`` as float; ValueError unless it is a finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{name}={value}: must be a finite number")
    return float(value)


def at_least(name: str, value: object, lowest: float) -> float:
    """``value`` as float; ValueError unless it is finite and at least ``lowest``."""
    if finite(name, value) < lowest:
        raise ValueError(f"{name}={value}: must be at least {lowest:g}")
    return float(value)  # type: ignore[arg-type]


def positive(name: str, value: object) -> float:
    """``value`` as float; ValueError unless it is finite and positive."""
    if finite(name, value) <= 0:
        raise ValueError(f"{name}={value}: must be positive")
    return float(value)  # type: ignore[arg-type]


def fraction(name: str, value: object) -> float:
    """``value`` as float; ValueError unless it lies in [0, 1]."""
    if not 0 <= finite(name, value) <= 1:
        raise ValueError(f"{name}={value}: must lie in [0, 1]")
    return float(value)  # type: ignore[arg-type]


def choice(name: str, value: object, allowed: Collection[str]) -> str:
    """``value``; ValueError unless it is one of ``allowed``."""
    if value not in allowed:
        raise ValueError(f"{name}={value}: must be one of {', '.join(allowed)}")
    return str(value)


def not_a_word(name: str, value: object, example: str) -> None:
    """ValueError if ``value`` is a word of the command line where the library wants an object."""
    if isinstance(value, str):
        raise ValueError(f"{name}={value}: the library takes objects, such as {name}={example}")


def numbers(name: str, value: object) -> list[float]:
    """``value`` as a list of finite floats; a single number counts as a list of one."""
    if isinstance(value, int | float):
        return [finite(name, value)]
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise ValueError(f"{name}={value}: must be a finite number or a list of them")
    return [finite(name, entry) for entry in value]


def points(name: str, value: object) -> list[list[float]]:
    """``value`` as a list of points of one dimension."""
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise ValueError(f"{name}={value}: must be a list of points, each a list of numbers")
    rows = [numbers(name, row) for row in value]
    if len({len(row) for row in rows}) != 1:
        raise ValueError(f"{name}={value}: must be a list of points of one dimension")
    return rows
