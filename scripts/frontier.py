"""Reward against cost with fidelity beside it: ``python scripts/frontier.py FOLDER ... [--out outputs/frontier]``.

Reads the runs of ``experiment=frontier`` on MNIST and judges the returned samples, one of each group, by the evaluation
classifier, which no reward uses: share recognised; diversity, the mean distance of the features of two returned samples
in units of that of two samples of the model; Frechet distance of the features to real test digits. A cell is *kept* if
at most 10 points of recognition are lost, and the returned samples are not all but one image (the mean of the data, to
which a single Euler step leads, is recognised). Writes ``OUT.png`` and ``OUT.md`` and prints the tables.
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from fmtt.data.mnist import test_images
from fmtt.evaluation.evaluators import DigitEvaluator
from fmtt.evaluation.feature_distances import frechet_distance, spread
from fmtt.report.comparison.run_summary import RunSummary
from fmtt.report.comparison.settings import INDIFFERENT, read_budget
from fmtt.report.comparison.sweep import read_sweep
from fmtt.report.frontier import Cell, Estimate, budgets, defeats, draw, optimal, summary, table
from fmtt.run.cli import script
from fmtt.run_folder import SAMPLES

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
LOST, LEFT = 0.1, 0.15  # recognition that a method may lose, diversity that it must leave, to be said to keep them

SHOWN = (40, 250, 1600)  # budgets of the summary, those that there are
FORMATS = {"reward": ".3f", "recognised": ".0%", "diversity": ".2f"}


def is_of_task(key: str) -> bool:
    return key == "reward" or key.startswith("reward.")


def task_of(entry: RunSummary) -> str:
    """The reward and its settings."""
    return " ".join(value for key, value in entry.settings.items() if is_of_task(key))


def method_of(entry: RunSummary) -> str:
    """The mode, and whatever else was overridden."""
    others = [(key, value) for key, value in entry.settings.items() if key not in APART and not is_of_task(key)]
    words = [WORDS.get(key, {}).get(value, f"{key}={value}") for key, value in sorted(others)]
    return ", ".join([entry.settings.get("mode", "importance"), *words])


def mean(values: Tensor) -> Estimate:
    values = values.double()
    return values.mean().item(), (values.std() / math.sqrt(len(values))).item()


@torch.no_grad()
def judged(key: tuple[str, str, float], runs: list[tuple[Path, RunSummary]], judge: DigitEvaluator, real: Tensor,
           base: dict[str, float]) -> Cell:  # fmt: skip
    tensors = [load_file(folder / entry.name / SAMPLES) for folder, entry in runs]
    rows = [torch.arange(len(part["selected"])) for part in tensors]
    samples = torch.cat([part["samples"][row, part["selected"]] for part, row in zip(tensors, rows, strict=True)])
    rewards = torch.cat([part["rewards"][row, part["selected"]] for part, row in zip(tensors, rows, strict=True)])
    features = judge.features(samples)
    sure = judge(samples).sure.double()
    distance, distance_error = spread(features)
    diversity = distance / base["spread"]
    costs = np.array([entry.metrics["nfe/weighted/group"] for _, entry in runs])
    seconds = [entry.metrics["time/method_s"] / entry.metrics["population/groups"] for _, entry in runs]
    quality = {
        "reward": mean(rewards),
        "recognised": mean(sure),
        "diversity": (diversity, distance_error / base["spread"]),
        "minus Frechet distance": (-frechet_distance(features, real), None),
    }
    kept = sure.mean().item() >= base["recognised"] - LOST and diversity >= LEFT
    return Cell(*key, float(costs.mean()), float(np.mean(seconds)), quality, kept)


@torch.no_grad()
def base_of(runs: list[tuple[Path, RunSummary]], judge: DigitEvaluator, count: int = 500) -> dict[str, float]:
    """Recognition and spread of the model's own samples: all that best-of-N looked at."""
    samples = torch.cat([load_file(folder / entry.name / SAMPLES)["samples"].flatten(0, 1)
                         for folder, entry in runs])[:count]  # fmt: skip
    features = judge.features(samples)
    return {"recognised": judge(samples).sure.double().mean().item(), "spread": spread(features)[0]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, default=Path("outputs/frontier"))
    parser.add_argument("--of", default="auto", help="drawn in black; it is said who beats it where")
    options = parser.parse_args()
    done = [(folder, entry) for folder in options.folders for entry in read_sweep(folder) if entry.status == "done"]
    base = [pair for pair in done if method_of(pair[1]) == "best_of_n"]
    if not base:
        sys.exit("the sweep needs runs of mode=best_of_n: they show what the model makes by itself")
    judge = DigitEvaluator()
    with torch.no_grad():
        real = judge.features(test_images()[:2000])
    reference = base_of(base, judge)
    cells: dict[tuple[str, str, float], list[tuple[Path, RunSummary]]] = {}
    for folder, entry in done:
        key = (task_of(entry), method_of(entry), read_budget(folder / entry.name, entry.settings))
        cells.setdefault(key, []).append((folder, entry))
    found = [judged(key, runs, judge, real, reference) for key, runs in cells.items()]
    names = list(found[0].quality)
    shown = [budget for budget in SHOWN if budget in budgets(found)] or budgets(found)
    text = "\n".join(
        [
            summary(found, FORMATS, shown),
            *(optimal(found, names[:count]) for count in (1, 2, 3)),
            optimal(found, names[:1], "seconds"),
            defeats(found, tuple(FORMATS), options.of),
            "",
            *(table(found, name) for name in names),
        ]
    )
    print(f"the model itself: {reference['recognised']:.0%} recognised\n\n{text}")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.with_suffix(".md").write_text(text + "\n")
    draw(options.out.with_suffix(".png"), found, names, options.of)


if __name__ == "__main__":
    sys.exit(script(main))
