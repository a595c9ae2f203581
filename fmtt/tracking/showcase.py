"""Pictures and tables of a finished run, ready for any logger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fmtt.run_folder import Array

TableCell = bool | int | float | Array  # an array is a picture


@dataclass(frozen=True)
class Showcase:
    """Pictures are uint8, ``(height, width, 3)``.

    Attributes:
        pictures: PNG files by name.
        frames: by name, pictures of the population on its way, each with its time t.
        columns, rows: a table with one row for each particle that is shown.
        weights: of all particles, ``(G, N)``; they sum to one in each group.
    """

    pictures: Mapping[str, Path]
    frames: Mapping[str, Sequence[tuple[float, Array]]]
    columns: Sequence[str]
    rows: Sequence[Sequence[TableCell]]
    weights: Array
