"""Sheets of pictures of scenes for people to look at."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from textwrap import fill

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from fmtt.data.captions import COLOURS, SHAPES
from fmtt.data.scene_reader import Reading, judge, read
from fmtt.data.scene_texts import Prompt

SHEETS, ROWS, COLUMNS = 4, 5, 10  # of judged pictures


def draw_scenes(prompts: Sequence[Prompt], samples: dict[str, Tensor], path: Path, columns: int = 12) -> None:
    """A picture with a row for each way of sampling; all pictures of a column have the same prompt and noise."""
    which = torch.linspace(0, len(prompts) - 1, columns).long().tolist()
    figure = Figure(figsize=(columns * 0.9, len(samples) * 0.9 + 0.6))
    axes = figure.subplots(len(samples), columns)
    for row, (name, pictures) in enumerate(samples.items()):
        for column, number in enumerate(which):
            axis = axes[row, column]
            show(axis, pictures[number])
            if not row:
                axis.set_title(fill(prompts[number].text, 20), fontsize=5)
            if not column:
                axis.set_ylabel(name, fontsize=7)
    figure.savefig(path, dpi=150, bbox_inches="tight")


def draw_judged(prompts: Sequence[Prompt], pictures: Tensor, folder: Path) -> None:
    """Sheets ``judged_0.png``, ... of pictures from all prompts, above each its prompt, below it what the judge reads.

    People who look at them find the errors of the judge.
    """
    which = torch.linspace(0, len(prompts) - 1, SHEETS * ROWS * COLUMNS).long()
    reading = read(pictures[which])
    right = judge([prompts[number].caption for number in which.tolist()], reading)
    for sheet in range(SHEETS):
        figure = Figure(figsize=(1.5 * COLUMNS, 2.0 * ROWS), layout="constrained")
        for place, axis in enumerate(figure.subplots(ROWS, COLUMNS).flat):
            row = sheet * ROWS * COLUMNS + place
            show(axis, pictures[which[row]])
            axis.set_title(fill(prompts[int(which[row])].text, 20), fontsize=5)
            verdict = "right" if right[row] else "wrong"
            axis.set_xlabel(f"{words_of_reading(reading, row)}\n{verdict}", fontsize=5)
        figure.savefig(folder / f"judged_{sheet}.png", dpi=130)


def words_of_reading(reading: Reading, row: int) -> str:
    """What the judge reads in one picture, such as ``red circle, blue star``."""
    kinds = zip(reading.things.colour[row].tolist(), reading.things.shape[row].tolist(), strict=True)
    named = ", ".join(f"{COLOURS[colour]} {SHAPES[shape]}" for colour, shape in kinds if shape >= 0)
    return f"broken: {named}" if reading.broken[row] else named


def show(axis: Axes, picture: Tensor) -> None:
    """A picture ``(3, H, W)`` in [-1, 1], without ticks."""
    axis.imshow(((picture + 1) / 2).clamp(0, 1).permute(1, 2, 0).numpy(force=True))
    axis.set(xticks=[], yticks=[])
