"""A picture of what methods return for prompts of every category: those that are right have a frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import fill

import numpy as np
from matplotlib.figure import Figure

from fmtt.report.common.pixels import mosaic
from fmtt.report.comparison.settings import read_settings
from fmtt.run_folder import Array, as_seen, read_prompts, read_returned, read_samples, verdicts_in
from fmtt.studies.runs import finished_runs, is_base, method_name
from fmtt.studies.scenes_geneval import APART, short_name


def runs_of(folder: Path, budget: str, methods: Sequence[str]) -> dict[str, Path]:
    """The folders of the runs at this budget, and of the base model, by their short names, in the order of ``methods``.

    Raises:
        ValueError: if there is no such method.
    """
    found = {
        short_name(method_name(run.settings, APART)): run.folder
        for run in finished_runs([folder])
        if is_base(run) or read_settings(run.folder, run.settings).value("budget.nfe") == budget
    }
    for method in methods:
        if method not in found:
            raise ValueError(f"{method}: must be one of {', '.join(sorted(found))}")
    return {method: found[method] for method in methods}


def returned_pictures(folder: Path, prompt: int) -> tuple[Array, list[int]]:
    """The pictures that a run returned for a prompt, ``(M, C, H, W)``, and which of them are right."""
    arrays = as_seen(read_samples(folder))
    groups = np.flatnonzero(arrays["prompt"] == prompt)
    verdicts = [verdicts_in(row)["right"] for row in read_returned(folder)]
    right = [number for number, group in enumerate(groups) if verdicts[group] == 1]
    return arrays["samples"][groups, arrays["selected"][groups]], right


def first_of_categories(folder: Path) -> dict[int, str]:
    """The first prompt of each category, by its number."""
    first: dict[str, tuple[int, str]] = {}
    for number, prompt in enumerate(read_prompts(folder)):
        first.setdefault(prompt["category"], (number, prompt["text"]))
    return dict(first.values())


def draw_prompts(runs: Mapping[str, Path], prompts: Mapping[int, str]) -> Figure:
    """One row for each prompt, one column for each method."""
    figure = Figure(figsize=(1.5 + 1.7 * len(runs), 1.75 * len(prompts)), layout="constrained")
    axes = figure.subplots(len(prompts), len(runs), squeeze=False)
    for row, (number, text) in enumerate(prompts.items()):
        for column, (method, folder) in enumerate(runs.items()):
            axis = axes[row, column]
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set_visible(False)
            axis.imshow(mosaic(*returned_pictures(folder, number)))
            if row == 0:
                axis.set_title(fill(method, 18), fontsize=9, fontweight="bold")
            if column == 0:
                axis.set_ylabel(fill(text, 24), fontsize=8, rotation=0, ha="right", va="center")
    return figure
