"""Scores of benchmarks beside published ones: what a user ran by ``scripts/benchmark_pictures.py`` and had scored.

NFE are forward evaluations of the network, as in every table. Where only a part of the prompts is there, the row says
so: its score cannot be compared.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from fmtt.benchmarks import BENCHMARKS
from fmtt.benchmarks.folder import read_records, read_settings
from fmtt.benchmarks.published import FOR_A_PROMPT, PUBLISHED
from fmtt.studies.output import markdown_table


class Row(NamedTuple):
    """A method with its score.

    Attributes:
        method: a name.
        nfe: for each picture, or for each prompt; None if it is not known.
        score: as the scorer gives it.
        ours: whether it was run here.
    """

    method: str
    nfe: float | None
    score: float
    ours: bool


def benchmark_tables(words: Sequence[str]) -> str:
    """A table for each benchmark of the folders in ``words``, ``FOLDER=SCORE`` each, in the order of NFE.

    Raises:
        ValueError: if a word has another form, or a folder was not made by ``scripts/benchmark_pictures.py``.
    """
    found: dict[str, list[Row]] = {}
    for word in words:
        folder, score = scored(word)
        name = read_settings(folder).get("benchmark")
        if name is None:
            raise ValueError(f"{folder}: has no pictures of a benchmark")
        found.setdefault(name, []).append(own_row(folder, score, name))
    return "\n\n".join(f"**{name}**\n\n{table(name, rows)}" for name, rows in found.items())


def scored(word: str) -> tuple[Path, float]:
    """The folder and the score of ``FOLDER=SCORE``."""
    folder, _, number = word.rpartition("=")
    try:
        score = float(number)
    except ValueError:
        score = math.nan
    if not folder or not math.isfinite(score):
        raise ValueError(f"{word}: must be FOLDER=SCORE, with the number that the scorer gave")
    return Path(folder), score


def own_row(folder: Path, score: float, name: str) -> Row:
    """The row of a folder: the settings that were typed, the mean NFE of its prompts, and how many are missing."""
    settings, records = read_settings(folder), read_records(folder)
    missing = settings["prompts"] - len(records)
    method = " ".join(settings["typed"]) + (f" (prompts missing: {missing})" if missing else "")
    pictures = 1 if name in FOR_A_PROMPT else BENCHMARKS[name].samples
    nfe = sum(record["nfe/forward"] for record in records) / len(records) / pictures if records else None
    return Row(method, nfe, score, ours=True)


def table(name: str, rows: Sequence[Row]) -> str:
    """The rows of a benchmark and the published ones; ours are bold."""
    published = [Row(*entry, ours=False) for entry in PUBLISHED.get(name, ())]
    ordered = sorted([*published, *rows], key=lambda row: math.inf if row.nfe is None else row.nfe)
    unit = "prompt" if name in FOR_A_PROMPT else "picture"
    cells = [
        [f"**{row.method}**" if row.ours else row.method, "" if row.nfe is None else f"{row.nfe:.0f}", f"{row.score:g}"]
        for row in ordered
    ]
    return markdown_table(["method", f"NFE for a {unit}", "score"], cells)
