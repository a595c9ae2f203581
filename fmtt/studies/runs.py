"""The finished runs of a study: found below folders, told apart by their settings, and read as tensors."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from fmtt.report.comparison.kinds import Kind, average
from fmtt.report.comparison.run_summary import RunSummary
from fmtt.report.comparison.settings import SEEDS, is_indifferent, read_settings
from fmtt.report.comparison.sweep import read_sweep
from fmtt.run_folder import read_samples

Key = TypeVar("Key", bound=Hashable)
Item = TypeVar("Item")


def finished_runs(folders: Sequence[Path]) -> list[RunSummary]:
    """The runs below ``folders`` that are done.

    Raises:
        ValueError: if there is none.
    """
    return _some([run for folder in folders for run in read_sweep(folder) if run.done], folders)


def finished_kinds(folders: Sequence[Path]) -> list[Kind]:
    """The runs of each folder that are done, averaged over their seeds.

    Raises:
        ValueError: if there is none.
    """
    return _some([kind for folder in folders for kind in average(read_sweep(folder))], folders)


def _some(found: list[Item], folders: Sequence[Path]) -> list[Item]:
    if not found:
        raise ValueError(f"no finished runs below {', '.join(map(str, folders))}")
    return found


def grouped(items: Iterable[Item], key: Callable[[Item], Key]) -> dict[Key, list[Item]]:
    """Items by their ``key``, in the order in which the keys first appear."""
    found: dict[Key, list[Item]] = {}
    for item in items:
        found.setdefault(key(item), []).append(item)
    return found


def is_base(run: RunSummary) -> bool:
    """Whether a run is the base model, sampled without a tilt."""
    return run.settings.get("mode") == "base"


def method_name(settings: Mapping[str, str], apart: Sequence[str] = ()) -> str:
    """The mode, then all other settings that change the results, but for the seed and the names in ``apart``."""
    skipped = ("experiment", "baseline", *SEEDS, *apart)
    kept = {key: value for key, value in settings.items() if key not in skipped and not is_indifferent(key)}
    return " ".join([kept.pop("mode", "default"), *(f"{key}={value}" for key, value in sorted(kept.items()))])


def values_of(settings: Mapping[str, str], names: Sequence[str]) -> str:
    """The values of some settings, joined; a setting that was not typed is left out."""
    return " ".join(settings[name] for name in names if name in settings)


def read_budget(run: RunSummary) -> float:
    """``budget.nfe`` of a run, typed or not.

    Raises:
        ValueError: if it had none.
    """
    value = read_settings(run.folder, run.settings).value("budget.nfe")
    if value in ("", "null"):
        raise ValueError(f"{run.folder}: had no budget.nfe, and a frontier compares runs that have one")
    return float(value)


def tensors_of(run: RunSummary) -> dict[str, Tensor]:
    """The arrays of :data:`fmtt.run_folder.SAMPLES_ARRAYS` as tensors."""
    return {name: torch.from_numpy(array) for name, array in read_samples(run.folder).items()}


def returned(tensors: Mapping[str, Tensor], name: str) -> Tensor:
    """The rows of ``name`` that belong to the particles that a run returned, one for each group, ``(G, ...)``."""
    selected = tensors["selected"]
    return tensors[name][torch.arange(len(selected)), selected]


def log_z_of(runs: Iterable[RunSummary]) -> Tensor:
    """Log Z of all groups of all runs, in double precision, ``(G,)``."""
    return torch.tensor([value for run in runs for value in run.numbers("log_z")], dtype=torch.float64)
