"""Checks of what users configure: each raises one line that names the value and what is allowed."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence


def whole_number(name: str, value: object, at_least: int, at_most: int | None = None) -> int:
    """``value`` as int; ValueError unless it is a whole number of at least ``at_least``, and not above ``at_most``."""
    if isinstance(value, bool) or not isinstance(value, int) or value < at_least:
        raise ValueError(f"{name}={value}: must be a whole number of at least {at_least}")
    if at_most is not None and value > at_most:
        raise ValueError(f"{name}={value}: must be at most {at_most}")
    return value


def switch(name: str, value: object) -> bool:
    """``value``; ValueError unless it is true or false."""
    if not isinstance(value, bool):
        raise ValueError(f"{name}={value}: must be true or false")
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


def is_number(text: str) -> bool:
    """Whether a text is a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def choice(name: str, value: object, allowed: Collection[str]) -> str:
    """``value``; ValueError unless it is one of ``allowed``."""
    if value not in allowed:
        raise ValueError(f"{name}={value}: must be one of {', '.join(allowed)}")
    return str(value)


def not_a_word(name: str, value: object, example: str) -> None:
    """ValueError if ``value`` is a word of the command line where the library wants an object."""
    if isinstance(value, str):
        raise ValueError(f"{name}={value}: the library takes objects, such as {name}={example}")


def rising_steps(name: str, value: object) -> tuple[int, ...]:
    """``value`` as numbers of steps; ValueError unless it is a rising list of whole numbers from 1 on."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        steps = [whole_number(name, step, 1) for step in value]
        if steps and sorted(set(steps)) == steps:
            return tuple(steps)
    raise ValueError(f"{name}={value}: must be a rising list of steps, such as [8, 16]")


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
