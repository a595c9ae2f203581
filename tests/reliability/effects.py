"""Settings of a command line that are taken, and change nothing that the run leaves or says."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from omegaconf import OmegaConf

from fmtt import run_folder
from fmtt.run.build import group_with_words
from fmtt.run.checkpoint import IRRELEVANT
from tests.reliability.command_lines import said
from tests.reliability.plausible_lines import ENOUGH, LINES

CHANGE_NO_RESULT = (*IRRELEVANT, "device", "population.chunk", "hydra")  # where and how it is computed and kept
CHANGE_IT_SELDOM = {  # what has to happen first, which does not happen in most runs that are so small
    "mode.check_every": "a particle must become unlikely for the model",
    "mode.final_checks": "the same",
    "mode.potential": "there must be two selections",
    "mode.resampler": "there must be one",
}
VARYING = ("time/", "memory/")  # metrics that are others whenever a run is repeated
REPEATED = (run_folder.SAMPLES, run_folder.HISTORY, run_folder.RETURNED, run_folder.PROMPTS)  # files that are not


class Left(NamedTuple):
    """What a command left and said.

    Attributes:
        status: of the command.
        said: the lines on stderr.
        files: all names in its folder, with the hashes of those that are the same whenever it is repeated.
        metrics: those that are the same.
    """

    status: int
    said: tuple[str, ...]
    files: dict[str, str]
    metrics: dict[str, object]


def left(words: Sequence[str]) -> tuple[Left, object]:
    """What a command leaves, and the configuration that it ran with, in which words stand for what they mean."""
    with tempfile.TemporaryDirectory() as name:
        status, lines = said([*ENOUGH, *words], Path(name))
        folder, spoken = Path(name) / "run", tuple(line.replace(name, "") for line in lines)
        if status:
            return Left(status, spoken, {}, {}), None
        files = {path.name: hashed(path) if path.name in REPEATED else "" for path in folder.glob("*")}
        metrics = json.loads((folder / run_folder.METRICS).read_text())
        config = run_folder.read_config(folder)
        for group in ("sampler", "mode"):
            config[group] = group_with_words(config, group)
        same = {key: value for key, value in metrics.items() if not key.startswith(VARYING)}
        return Left(status, spoken, files, same), OmegaConf.to_container(config)


def hashed(path: Path) -> str:
    """The hash of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def without_effect(words: Sequence[str]) -> list[str]:
    """The words that could be left out, or have another value, and nobody would see it; none if the line is refused.

    A single value may do what the default does, such as a bound that is reached by neither. So only a setting counts
    none of whose values does anything here.
    """
    found, configured = left(words)
    if found.status:
        return []
    dead = []
    for number, word in enumerate(words):
        others = [*words[:number], *words[number + 1 :]]
        if warned_of(word, found.said) or not has_to_change_something(word, others):
            continue
        without, plain = left(others)
        if without == found and plain != configured:
            other_values = ([*words[:number], other, *words[number + 1 :]] for other in values_like(word))
            if all(other_left in (found, None) for other_left in map(left_if_taken, other_values)):
                dead.append(word)
    return dead


def warned_of(word: str, lines: Sequence[str]) -> bool:
    """Whether one of the lines says that the setting of a word has no effect, or the choice that it is a setting of."""
    named = [line.split()[2] for line in lines if "has no effect" in line]
    return any(f"{key_of(word)}.".startswith(f"{name}.") for name in named)


def left_if_taken(words: Sequence[str]) -> Left | None:
    """What a command leaves; None if it is refused."""
    found, _ = left(words)
    return None if found.status else found


def values_like(word: str) -> list[str]:
    """Other words about the same setting."""
    return sorted({other for line in LINES for other in line if key_of(other) == key_of(word)} - {word})


def key_of(word: str) -> str:
    """The setting of a word, with points."""
    return word.lstrip("+~").partition("=")[0].replace("/", ".")


def has_to_change_something(word: str, others: Sequence[str]) -> bool:
    """Whether a word is about what is computed, and is the only one about its setting."""
    key = key_of(word)
    known = any(f"{key}.".startswith(f"{name}.") for name in CHANGE_NO_RESULT) or key in CHANGE_IT_SELDOM
    return not known and all(key != key_of(other) for other in others)
