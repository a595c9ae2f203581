"""The settings of runs, and which of them tell runs apart."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fmtt.checks import is_number
from fmtt.run_folder import CONFIG, HYDRA_CONFIG, read_yaml
from fmtt.tracking import DESCRIBED, hydra_choices

SEEDS = ("seed",)  # runs that differ in these alone are averaged
INDIFFERENT = ("launcher", "logger", "report", "resume", "checkpoint", "hydra")  # they do not change the results


@dataclass(frozen=True)
class Settings:
    """The settings of one run.

    Attributes:
        typed: the overrides.
        known: the choice of every config group, ``{"mode": "search"}``, and every leaf of the resolved configuration,
            ``{"sampler.steps": "32"}``.
    """

    typed: Mapping[str, str]
    known: Mapping[str, str]

    def value(self, name: str) -> str:
        """The text of a setting, typed or not; empty if this run has no such setting."""
        return self.known.get(name, self.typed.get(name, ""))


def read_settings(folder: Path, typed: Mapping[str, str]) -> Settings:
    """The settings of a run folder; if a run was refused early, they are those that Hydra recorded before."""
    config = next((folder / name for name in (CONFIG, HYDRA_CONFIG) if (folder / name).is_file()), None)
    leaves = dict(_leaves("", read_yaml(config))) if config else {}
    return Settings(typed, {**leaves, **hydra_choices(folder)})


def _leaves(name: str, value: Any) -> Iterator[tuple[str, str]]:
    if not isinstance(value, Mapping):
        yield name, as_typed(value)
        return
    for key, entry in value.items():
        yield from _leaves(f"{name}.{key}" if name else str(key), entry)


def as_typed(value: Any) -> str:
    """A value as a user would type it; a whole number is the same with and without a point."""
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return json.dumps(value, default=str, separators=(",", ":"))


def described_settings(runs: Sequence[Settings]) -> list[str]:
    """The groups that describe a run, and all settings that were typed in any run."""
    typed = (name for run in runs for name in run.typed)
    return [name for name in dict.fromkeys([*DESCRIBED, *typed]) if not is_indifferent(name)]


def is_indifferent(name: str) -> bool:
    """Whether a setting does not change the results."""
    return name.replace("/", ".").split(".")[0] in INDIFFERENT


def distinguishing_settings(runs: Sequence[Settings]) -> list[str]:
    """The settings that tell runs apart.

    They are those of :func:`described_settings` that differ. If runs agree in all of these but their seeds, then any
    other leaf in which they differ is added, such as one that was changed in a file. A leaf that follows from the
    others, such as a constant that comes with the mode, is left out.
    """
    names = [name for name in described_settings(runs) if count(runs, [name]) > 1]
    kinds = [name for name in names if name not in SEEDS]  # runs of two kinds may have had two sets of seeds
    apart = count(runs, kinds)
    for leaf in dict.fromkeys(name for run in runs for name in run.known):
        if leaf not in names and not is_indifferent(leaf) and count(runs, [*kinds, leaf]) > apart:
            names.append(leaf)
            kinds += [leaf] if leaf not in SEEDS else []
            apart = count(runs, kinds)
    return names


def count(runs: Sequence[Settings], names: Sequence[str]) -> int:
    """How many kinds of runs there are by these settings."""
    return len({tuple(run.value(name) for name in names) for run in runs})


def default_grouping(runs: Sequence[Settings], names: Sequence[str]) -> list[str]:
    """The settings by which runs are averaged at first: all but the seeds.

    A setting that nobody typed and that follows from the others is left out, such as the look-ahead of a mode.
    """
    typed = {name for run in runs for name in run.typed}
    kept = [name for name in names if name not in SEEDS]
    for name in reversed(kept):
        others = [other for other in kept if other != name]
        if name not in typed and count(runs, others) == count(runs, kept):
            kept = others
    return kept


def line_setting(names: Sequence[str], runs: Sequence[Settings]) -> str | None:
    """The setting along which points are joined to a line; one that says how much a run costs is taken first."""
    numeric = [name for name in names if all(is_number(run.value(name)) for run in runs)]
    best = [name for name in ("budget.nfe", "sampler.steps", "population.particles") if name in numeric]
    others = [name for name in numeric if not name.startswith("reward.")]
    return next(iter([*best, *others]), None)
