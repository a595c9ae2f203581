"""Sheets of pictures of scenes for people to look at."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from textwrap import fill

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from fmtt.data.scene_texts import Prompt


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


def show(axis: Axes, picture: Tensor) -> None:
    """A picture ``(3, H, W)`` in [-1, 1], without ticks."""
    axis.imshow(((picture + 1) / 2).clamp(0, 1).permute(1, 2, 0).numpy(force=True))
    axis.set(xticks=[], yticks=[])
