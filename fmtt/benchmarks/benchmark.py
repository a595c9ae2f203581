"""What a benchmark is: how its prompts are read, and which files its scorer reads."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

Array = np.ndarray
Notes = Mapping[Path, str]  # text files that a scorer reads beside the pictures


@dataclass(frozen=True)
class BenchmarkPrompt:
    """A prompt of a benchmark.

    Attributes:
        number: its place in the file, from 0.
        name: what it is called in names of files; the key of its noise, too.
        text: what the model is told.
        category: an empty text where a benchmark has none.
        record: the object in the file.
    """

    number: int
    name: str
    text: str
    category: str = ""
    record: Mapping[str, Any] = field(default_factory=dict)


def as_they_are(pictures: Sequence[Array]) -> Sequence[Array]:
    """A file for each picture."""
    return pictures


def no_notes(prompts: Iterable[BenchmarkPrompt], folder: Path) -> Notes:
    """The scorer reads nothing but pictures."""
    return {}


@dataclass(frozen=True)
class Benchmark:
    """A benchmark, as functions.

    Attributes:
        samples: pictures of each prompt.
        read: the file or folder of prompts as it is published, to its prompts; raises a ValueError if it is another.
        layout: a prompt to its picture files, relative to the folder that the scorer is given.
        arranged: the pictures of a prompt, ``(H, W, 3)`` uint8 each, to the content of these files.
        notes: the prompts whose pictures are there, and the folder, to the text files that the scorer reads.
    """

    samples: int
    read: Callable[[Path], list[BenchmarkPrompt]]
    layout: Callable[[BenchmarkPrompt], list[Path]]
    arranged: Callable[[Sequence[Array]], Sequence[Array]] = as_they_are
    notes: Callable[[Iterable[BenchmarkPrompt], Path], Notes] = no_notes


def lines_of(path: Path) -> list[str]:
    """The lines of a file of prompts that are not empty.

    Raises:
        ValueError: if there is no such file, or nothing in it.
    """
    if not path.is_file():
        raise ValueError(f"prompts={path}: there is no such file")
    lines = [line for line in path.read_text(encoding="utf-8-sig").split("\n") if line.strip()]
    if not lines:
        raise ValueError(f"prompts={path}: there is no prompt in it")
    return lines


def objects_of(path: Path, names: Sequence[str]) -> list[dict[str, Any]]:
    """The objects of a file with one JSON object in each line.

    Raises:
        ValueError: as :func:`lines_of`, and if a line is no object or lacks one of ``names``.
    """
    found = []
    for number, line in enumerate(lines_of(path), start=1):
        try:
            value = json.loads(line)
        except ValueError:
            value = None
        if not isinstance(value, dict) or not value.keys() >= set(names):
            raise ValueError(f"prompts={path}: object {number} is not JSON with {', '.join(names)}")
        found.append(value)
    return found
