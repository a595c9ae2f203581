"""Words of the command line that Hydra would take for something else, or would explain badly."""

from __future__ import annotations

import shutil
from collections.abc import Sequence

from fmtt.checks import is_number
from fmtt.run.configs import CONFIGS

FOLDERS = ("hydra.run.dir", "hydra.sweep.dir", "hydra.sweep.subdir")
NO_WORDS = ("null", "true", "false", "", "[]")


def wrong_word(words: Sequence[str]) -> str | None:
    """What is wrong with the first word that cannot be meant, on one line; None if there is none."""
    for word in words:
        if word.startswith("hydra="):
            return f"{word}: settings of Hydra have longer names, such as hydra.run.dir=..."
        if word == "launcher=slurm" and shutil.which("srun") is None:
            return f"{word}: this machine has no SLURM; launcher=slurm_local starts processes of this machine"
        key, equals, value = word.lstrip("+").partition("=")
        plain = value.strip("'\"")
        if equals and key in FOLDERS and not plain:
            return f"{key}={value}: must be the name of a folder"
        group = CONFIGS / key.partition("@")[0]
        named = plain.strip("[]").split(",")
        if equals and key and group.is_dir() and (plain in NO_WORDS or any(map(is_number, named))):
            choices = sorted(file.stem for file in group.glob("*.yaml"))
            return f"{key}={value}: must be one of {', '.join(choices)}"
    return None
