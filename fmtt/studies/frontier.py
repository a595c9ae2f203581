"""Reward against cost for every method, with the fidelity of the samples beside it.

The returned samples of the runs of ``experiment=frontier`` on MNIST, one of each group, are judged by the evaluation
classifier, which no reward uses: share recognised; diversity, the mean distance of the features of two returned samples
in units of that of two samples of the model; Frechet distance of the features to real test digits. A method is *kept*
if at most 10 points of recognition are lost and the returned samples are not all but one image: the mean of the data,
to which a single Euler step leads, is recognised too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from fmtt.data.mnist import test_images
from fmtt.evaluation.evaluators import DigitEvaluator
from fmtt.evaluation.feature_distances import frechet_distance, spread
from fmtt.report.common.estimates import Estimate
from fmtt.report.comparison.run_summary import RunSummary
from fmtt.report.comparison.settings import INDIFFERENT
from fmtt.studies.output import write_study
from fmtt.studies.pareto import MethodPoint, budgets
from fmtt.studies.pareto_picture import draw_points
from fmtt.studies.pareto_tables import budget_table, defeats, optimal_points, summary_table
from fmtt.studies.runs import finished_runs, grouped, read_budget, returned, tensors_of

# settings that are no part of a method's name; those of the reward name the task
APART = (
    *INDIFFERENT, "mode", "mode/gradient", "budget.nfe", "seed", "experiment", "population.groups",
    "population.particles",
)  # fmt: skip
WORDS = {
    "lookahead": {
        "none": "no look-ahead",
        "denoiser": "denoiser",
        "flowmap1": "1 jump",
        "flowmap2": "2 jumps",
        "flowmap4": "4 jumps",
    },
    "mode.gradient.strength": {"64": "pushed 64 times"},
}
LOST, LEFT = 0.1, 0.15  # a method that is kept loses at most this recognition, and leaves at least this diversity

SHOWN = (40, 250, 1600)  # budgets of the summary, as far as there are runs
FORMATS = {"reward": ".3f", "recognised": ".0%", "diversity": ".2f"}

PointKey = tuple[str, str, float]  # task, method and budget


def is_of_task(name: str) -> bool:
    """Whether a setting belongs to the task."""
    return name == "reward" or name.startswith("reward.")


def task_of(run: RunSummary) -> str:
    """The reward and its settings."""
    return " ".join(value for key, value in run.settings.items() if is_of_task(key))


def method_of(run: RunSummary) -> str:
    """The mode, and all other settings that were typed."""
    others = [(key, value) for key, value in run.settings.items() if key not in APART and not is_of_task(key)]
    words = [WORDS.get(key, {}).get(value, f"{key}={value}") for key, value in sorted(others)]
    return ", ".join([run.settings.get("mode", "importance"), *words])


def mean_with_error(values: Tensor) -> Estimate:
    """Mean of ``(B,)`` and its standard error."""
    values = values.double()
    return values.mean().item(), (values.std() / math.sqrt(len(values))).item()


def point(
    key: PointKey, runs: Sequence[RunSummary], judge: DigitEvaluator, real: Tensor, base: dict[str, float]
) -> MethodPoint:
    """The cost of the runs of a method at a budget, and the quality of their samples."""
    tensors = [tensors_of(run) for run in runs]
    samples, rewards = (torch.cat([returned(part, name) for part in tensors]) for name in ("samples", "rewards"))
    features = judge.features(samples)
    sure = judge(samples).sure.double()
    distance, distance_error = spread(features)
    diversity = distance / base["spread"]
    costs = np.array([run.number("nfe/weighted/group") for run in runs])
    seconds = [run.number("time/method_s") / run.number("population/groups") for run in runs]
    quality = {
        "reward": mean_with_error(rewards),
        "recognised": mean_with_error(sure),
        "diversity": (diversity, distance_error / base["spread"]),
        "minus Frechet distance": (-frechet_distance(features, real), None),
    }
    kept = sure.mean().item() >= base["recognised"] - LOST and diversity >= LEFT
    return MethodPoint(*key, float(costs.mean()), float(np.mean(seconds)), quality, kept)


def base_of(runs: Sequence[RunSummary], judge: DigitEvaluator, count: int = 500) -> dict[str, float]:
    """Recognition and spread of the model's own samples: all the particles of best-of-N."""
    samples = torch.cat([tensors_of(run)["samples"].flatten(0, 1) for run in runs])[:count]
    features = judge.features(samples)
    return {"recognised": judge(samples).sure.double().mean().item(), "spread": spread(features)[0]}


@torch.no_grad()
def study_frontier(folders: Sequence[Path], method: str, out: Path) -> str:
    """Write the tables and the figure; returns the tables, and before them what the model itself makes.

    Args:
        method: is drawn in black, and the text says which methods beat it where.

    Raises:
        ValueError: if there are no finished runs of ``mode=best_of_n``, or a run had no budget.
    """
    runs = finished_runs(folders)
    base = [run for run in runs if method_of(run) == "best_of_n"]
    if not base:
        raise ValueError("the sweep needs runs of mode=best_of_n: they show what the model makes by itself")
    judge = DigitEvaluator()
    real, reference = judge.features(test_images()[:2000]), base_of(base, judge)
    members = grouped(runs, lambda run: (task_of(run), method_of(run), read_budget(run)))
    points = [point(key, found, judge, real, reference) for key, found in members.items()]
    names = list(points[0].quality)
    text = "\n".join(
        [
            summary_table(points, FORMATS, [b for b in SHOWN if b in budgets(points)] or budgets(points)),
            *(optimal_points(points, names[:count]) for count in (1, 2, 3)),
            optimal_points(points, names[:1], "seconds"),
            defeats(points, tuple(FORMATS), method),
            "",
            *(budget_table(points, name) for name in names),
        ]
    )
    write_study(out, text, draw_points(points, names, method))
    return f"the model itself: {reference['recognised']:.0%} recognised\n\n{text}"
