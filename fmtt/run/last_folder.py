"""``resume=true`` without a folder: the last run or sweep of the same command in the default folder."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from fmtt.run_folder import MULTIRUN, OVERRIDES, read_yaml

RESUME = "resume=true"
WITH_VALUE = ("--config-dir", "-cd", "--config-path", "-cp", "--config-name", "-cn")  # the next word belongs to it
SWEEP_FLAGS = ("-m", "--multirun")
RUNS, SWEEPS = Path("outputs"), Path("outputs/multirun")  # as in configs/config.yaml


def folder_to_resume(words: Sequence[str]) -> list[str]:
    """The setting of the folder in which a command with these words goes on; nothing if it has no need of one."""
    sweep = any(flag in words for flag in SWEEP_FLAGS)
    key = "hydra.sweep.dir" if sweep else "hydra.run.dir"
    if RESUME not in map(str.lower, words) or any(word.startswith(f"{key}=") for word in words):
        return []
    record = MULTIRUN if sweep else OVERRIDES
    folders = sorted((SWEEPS if sweep else RUNS).glob("????-??-??/*"), key=lambda folder: folder.name, reverse=True)
    folders.sort(key=lambda folder: folder.parent.name, reverse=True)
    typed = settings(words)
    for folder in folders:
        if (folder / record).is_file() and typed == settings(typed_in(folder / record)):
            return [f"{key}={folder}"]
    return []


def typed_in(record: Path) -> Sequence[str]:
    """The words of the command that left Hydra's ``record``."""
    known = read_yaml(record) or []
    return known["hydra"]["overrides"]["task"] if isinstance(known, dict) else known


def settings(words: Sequence[str]) -> set[str]:
    """The words that say what is computed."""
    values = {after for word, after in pairwise(words) if word in WITH_VALUE}
    return {word for word in words if not word.startswith(("-", "hydra.", "hydra/", "resume="))} - values
