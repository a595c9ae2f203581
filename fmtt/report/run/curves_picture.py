"""The picture of a run's curves."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.ticker import MaxNLocator

from fmtt.files import whole
from fmtt.report.common.palette import BASE, BEST, ESS, INK, LOG_Z, RESAMPLED, TILTED
from fmtt.report.run.axes import DPI, grid_of_axes
from fmtt.run_folder import Array


def save_curves(path: Path, history: Mapping[str, Array], base_reward: float = math.nan) -> None:
    """Reward, ESS and log Z over the sampling time, with a red mark wherever a population was resampled.

    Args:
        path: the PNG to write.
        history: columns ``(steps,)``; a panel whose columns are missing or hold no number is left out.
        base_reward: mean reward of the base model, drawn as a line.
    """
    known = {name: column for name, column in history.items() if np.isfinite(column).any()}
    panels = [
        ("reward", [("reward/mean", "mean", TILTED), ("reward/max", "best", BEST)]),
        ("ESS / N", [("ess", "ESS / N", ESS)]),
        ("log Z", [("log_z", "log Z", LOG_Z)]),
    ]
    panels = [(title, [line for line in lines if line[0] in known]) for title, lines in panels]
    panels = [(title, lines) for title, lines in panels if lines]
    figure, grid = grid_of_axes(1, max(1, len(panels)), (9, 0.9 + 2.5 * max(1, len(panels))), sharey=False)
    t = history.get("t", np.zeros(0))
    marks = t[history["resampled"] > 0] if "resampled" in history else t[:0]
    for axes, (title, lines) in zip(grid, panels, strict=False):
        for mark in marks:
            axes.axvline(mark, color=RESAMPLED, linewidth=0.9, alpha=0.3)
        for name, label, color in lines:
            axes.plot(t, known[name], color=color, linewidth=2, label=label)
        if title == "reward" and math.isfinite(base_reward):
            axes.axhline(base_reward, color=BASE, linewidth=1.6, linestyle=(0, (5, 3)), label="base model, mean")
        if title == "ESS / N":
            axes.set_ylim(0, 1.05)
            axes.plot(marks, np.full(len(marks), 0.03), "^", color=RESAMPLED, markersize=7, label="resampled")
        if len(axes.get_legend_handles_labels()[0]) > 1:
            axes.legend(fontsize=10, loc="best", framealpha=0.9, edgecolor="#e2e8f0")
        axes.set_ylabel(title, fontsize=12, color=INK)
        axes.yaxis.set_major_locator(MaxNLocator(5))
    grid[-1].set_xlabel("sampling time $t$  (0 noise, 1 data)", fontsize=12, color=INK)
    grid[-1].set_xlim(0, 1)
    with whole(path) as partial:
        figure.savefig(partial, dpi=DPI)
