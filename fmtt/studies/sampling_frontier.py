"""The error of the tilted law against cost, for every method that samples it.

Every folder holds the runs of ``experiment=frontier_sampling`` on one task and is named after it. The truth is the
closed form or quadrature if the model has one, else importance sampling of the model's own samples, from the runs of
``mode=base`` in the folder. The error is the root mean square over all groups, each a population of its own that the
budget paid for: of log Z, and of the weighted mean of the scaled reward.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fmtt.report.common.estimates import Estimate
from fmtt.report.common.placement import normalised_weights
from fmtt.report.comparison.run_summary import RunSummary
from fmtt.run_folder import Array, read_config, read_samples
from fmtt.studies.output import write_study
from fmtt.studies.pareto import MethodPoint
from fmtt.studies.pareto_picture import draw_points
from fmtt.studies.pareto_tables import budget_table, optimal_points
from fmtt.studies.runs import finished_runs, grouped, is_base, read_budget

# settings whose value is part of a method's name; all others belong to the task
NAMING = ("mode", "lookahead", "mode.move", "mode.weights", "sampler/epsilon", "sampler.epsilon.c")
WORDS = {"flowmap1": "1 jump", "diffusion4": "", "zero": "", "piloted": "noise by pilots"}
BLACK = "noise_smc"  # the method that is drawn in black


class Truth(NamedTuple):
    """Log Z, the tilted mean of the scaled reward, and a note on their errors."""

    log_z: float
    mean: float
    origin: str


def method_of(run: RunSummary) -> str:
    """The mode, and the settings that make it another method."""
    values = [
        f"c = {run.settings[key]}" if key.endswith(".c") else run.settings[key] for key in NAMING if key in run.settings
    ]
    return ", ".join(filter(None, (WORDS.get(value, value) for value in values)))


def scale_of(run: RunSummary) -> float:
    """The scale of the reward of a run."""
    return float(read_config(run.folder).reward.scale)


def truth_of(folder: Path, runs: Sequence[RunSummary]) -> Truth:
    """The truth about the task of ``runs``.

    Raises:
        ValueError: if it is not known exactly, and there are no base runs.
    """
    scale = scale_of(runs[0])
    known = [run for run in runs if "exact/log_z" in run.metrics]
    if known:
        return Truth(known[0].number("exact/log_z"), scale * known[0].number("exact/reward"), "exact")
    rewards = [read_samples(run.folder)["rewards"] for run in runs if is_base(run)]
    if not rewards:
        raise ValueError(f"{folder}: no exact values, and no runs of mode=base to take them from")
    tilt = scale * np.concatenate([part.ravel() for part in rewards])
    weights = np.exp(tilt - tilt.max())
    log_z = math.log(weights.mean()) + tilt.max()
    spread = weights.std() / weights.mean() / math.sqrt(len(weights))
    mean = float((weights * tilt).sum() / weights.sum())
    return Truth(log_z, mean, f"from {len(tilt)} samples, log Z ± {spread:.3f}")


def minus_root_mean_square(errors: Array) -> Estimate:
    """Minus the root mean square, so that larger is better, and its standard error."""
    squares = errors**2
    root = math.sqrt(squares.mean())
    return -root, float(squares.std(ddof=1) / math.sqrt(len(squares)) / (2 * root)) if root else 0.0


def point(task: str, method: str, budget: float, runs: Sequence[RunSummary], truth: Truth) -> MethodPoint:
    """The cost of the runs of a method at a budget, and their distance from the truth."""
    log_z, means, scale = [], [], scale_of(runs[0])
    for run in runs:
        arrays = read_samples(run.folder)
        log_z += run.numbers("log_z")
        means += list(scale * (normalised_weights(arrays["log_weights"]) * arrays["rewards"]).sum(1))
    cost = float(np.mean([run.number("nfe/weighted/group") for run in runs]))
    seconds = float(np.mean([run.number("time/method_s") / run.number("population/groups") for run in runs]))
    quality = {
        "minus error of log Z": minus_root_mean_square(np.array(log_z) - truth.log_z),
        "minus error of the reward": minus_root_mean_square(np.array(means) - truth.mean),
    }
    return MethodPoint(task, method, budget, cost, seconds, quality, kept=True)


def study_sampling_frontier(folders: Sequence[Path], out: Path) -> str:
    """Write and return the tables; the figure shows both errors against cost.

    Raises:
        ValueError: if a folder holds no finished runs, or no truth, or a run had no budget.
    """
    points, notes = [], []
    for folder in folders:
        runs = finished_runs([folder])
        truth = truth_of(folder, runs)
        notes.append(f"{folder.name}: log Z {truth.log_z:.3f}, mean scaled reward {truth.mean:.3f} ({truth.origin})")
        tilted = [run for run in runs if not is_base(run)]
        members = grouped(tilted, lambda run: (method_of(run), read_budget(run)))
        points += [point(folder.name, *key, found, truth) for key, found in members.items()]
    names = list(points[0].quality)
    tables = [*(budget_table(points, name) for name in names), *(optimal_points(points, [name]) for name in names)]
    text = "\n".join([*notes, "", *tables])
    write_study(out, text, draw_points(points, names, BLACK))
    return text
