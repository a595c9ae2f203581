"""The trials by which methods are tuned: so many for each, drawn from what it may vary, the published setting first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path

from fmtt.files import write_whole
from fmtt.flow import noise
from fmtt.run_folder import read_yaml

TRIALS = 24  # of each method

Ranges = Sequence[Sequence[str]]  # of each list one entry is drawn


def drawn_trials(method: str, role: str, ranges: Ranges, count: int = TRIALS) -> list[str]:
    """The words of the trials of a method. They differ, and depend on nothing but the arguments.

    Raises:
        ValueError: if there are not so many combinations.
    """
    if prod(map(len, ranges)) < count - 1:
        raise ValueError(f"{role} {method}: has only {prod(map(len, ranges))} combinations for {count - 1} trials")
    generator = noise.generator("trials", role, method)
    found = [f"mode={method} role={role}"]
    while len(found) < count:
        words = [choices[int(generator.integers(len(choices)))] for choices in ranges]
        line = " ".join([found[0], *filter(None, words)])
        if line not in found:
            found.append(line)
    return found


def write_trials(ranges: Path, folder: Path) -> list[Path]:
    """``FOLDER/<role>/<method>.txt``, a line for each trial, from a YAML file of ranges by role and method.

    Raises:
        ValueError: as :func:`drawn_trials`.
    """
    written = []
    roles: Mapping[str, Mapping[str, Ranges]] = read_yaml(ranges)
    for role, methods in roles.items():
        (folder / role).mkdir(parents=True, exist_ok=True)
        for method, choices in methods.items():
            path = folder / role / f"{method}.txt"
            write_whole(path, "\n".join(drawn_trials(method, role, choices)) + "\n")
            written.append(path)
    return written
