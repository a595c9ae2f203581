"""Which method finds good samples at a cost? The protocol is that of docs/comparison.md.

A cell is a task at a cost. In each cell methods return samples from the same seeds. A sample is a *success* if a judge
that no reward uses says so: it shows the wanted digit, time or prompt. For rewards of geometry it must be recognised as
a digit, and its reward must be above that of all but one in a hundred real digits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from fmtt.data.mnist import test_images
from fmtt.report.comparison.run_summary import RunSummary
from fmtt.rewards import Antisymmetry, Mask, Rotation, Symmetry
from fmtt.run_folder import number_in, read_returned
from fmtt.studies.dominance import Cell, Contest, contests, dominated
from fmtt.studies.runs import finished_runs, grouped, is_base, method_name, read_budget
from fmtt.studies.significance import bootstrap, wilson

SHOWN = ("shows_the_digit", "shows_the_time", "edited", "right")  # verdicts of judges; the first that is there counts
GEOMETRY: dict[str, Callable[..., Callable[[Tensor], Tensor]]] = {
    "symmetry": Symmetry, "antisymmetry": Antisymmetry, "rotation": Rotation, "mask": Mask,
}  # fmt: skip
BEST_REAL = 0.99  # quantile of the rewards of real digits
TASK = ("reward", "reward.shape", "reward.digit", "reward.time", "reward.terms.change.question", "prompt",
        "sampler.start.path")  # the settings that name a task  # fmt: skip
APART = (*TASK, "model", "budget.nfe", "population.groups", "population.particles", "population.chunk", "role")


@dataclass(frozen=True)
class Returned:
    """The samples that a method returns in a cell, in the order of seeds and groups.

    Attributes:
        qualities: ``reward``, ``success``, ``recognised`` and ``diversity``, ``(S,)`` each. The mean of the last is the
            mean distance of two samples in units of that of the model; its entries are the jackknife's pseudo-values.
        cost: of a sample, in forward evaluations of the network.
        seconds: of a sample.
        kid: the kernel distance to real samples of the wanted kind with its error, the mean over runs; None where there
            are no such samples.
    """

    qualities: Mapping[str, Tensor]
    cost: float
    seconds: float
    kid: tuple[float, float] | None


def task_of(run: RunSummary) -> str:
    """The reward and what it asks for, as typed."""
    named = (run.settings.get(name, "") for name in TASK)
    return " ".join(value.replace("\\", "") for value in named if value)


@cache
def best_real(reward: str, shape: str | None) -> float:
    """The reward that one real test digit in a hundred exceeds."""
    judge = GEOMETRY[reward](shape) if reward == "mask" else GEOMETRY[reward]()
    return torch.quantile(judge(test_images()[:5000]).double(), BEST_REAL).item()


def returned_of(runs: Sequence[RunSummary], spread: float) -> Returned:
    """The samples of the runs of a cell; ``spread`` is the mean distance of two samples of the model."""
    ordered = sorted(runs, key=lambda run: int(run.settings.get("seed", "0")))
    parts = [columns(run) for run in ordered]
    reward, recognised = (torch.cat([part[name] for part in parts]) for name in ("reward", "recognised"))
    success = torch.cat([successes(run) for run in ordered])
    diversity = torch.cat([pseudo_values(part["apart"]) for part in parts]) / spread
    qualities = {"reward": reward, "success": success, "recognised": recognised, "diversity": diversity}
    return Returned(
        qualities,
        sum(run.number("nfe/weighted") for run in ordered) / len(reward),
        sum(run.number("time/method_s") for run in ordered) / len(reward),
        kid_of(ordered),
    )


def kid_of(runs: Sequence[RunSummary]) -> tuple[float, float] | None:
    """The mean kernel distance of runs with its error, or None if one has none."""
    if any("kid" not in run.metrics for run in runs):
        return None
    found = torch.tensor([[run.number("kid"), run.number("kid/stderr")] for run in runs], dtype=torch.float64)
    return found[:, 0].mean().item(), found[:, 1].square().sum().sqrt().item() / len(found)


def successes(run: RunSummary) -> Tensor:
    """Which of the returned samples of a run are successes, ``(G,)``."""
    found = columns(run)
    shown = next((name for name in SHOWN if name in found), None)
    if shown:
        return found[shown]
    line = best_real(run.settings.get("reward", "symmetry"), run.settings.get("reward.shape"))
    return found["recognised"] * (found["reward"] > line)


def columns(run: RunSummary) -> dict[str, Tensor]:
    """The numbers of the returned samples of a run, by name, ``(G,)`` each."""
    rows = read_returned(run.folder)
    return {name: torch.tensor([number_in(row[name]) for row in rows], dtype=torch.float64) for name in rows[0]}


def pseudo_values(apart: Tensor) -> Tensor:
    """The jackknife's pseudo-values of the mean distance of two samples, from the mean distance of each to the others.

    Their mean is that mean distance, and their spread gives its standard error.
    """
    number, mean = len(apart), apart.mean()
    without = (number * mean - 2 * apart) / (number - 2)
    return number * mean - (number - 1) * without


@dataclass(frozen=True)
class Comparison:
    """All cells.

    Attributes:
        cells: by task and cost the methods with what they return.
        contests: the tests of all pairs of methods.
        beaten: by cell and method the rivals that dominate it.
    """

    cells: Mapping[Cell, Mapping[str, Returned]]
    contests: Sequence[Contest]
    beaten: Mapping[tuple[Cell, str], list[str]]

    @property
    def tasks(self) -> list[str]:
        return list(dict.fromkeys(task for task, _ in self.cells))

    @property
    def costs(self) -> list[float]:
        return sorted({cost for _, cost in self.cells})

    @property
    def methods(self) -> list[str]:
        return list(dict.fromkeys(name for methods in self.cells.values() for name in methods))


def compare(folders: Sequence[Path]) -> Comparison:
    """The comparison of the runs below ``folders``; those of ``mode=base`` say how far apart samples of the model are.

    Raises:
        ValueError: if there are no finished runs, none of the base model, or one had no budget.
    """
    runs = finished_runs(folders)
    spreads = {
        model: torch.cat([columns(run)["apart"] for run in own]).mean().item()
        for model, own in grouped(filter(is_base, runs), model_of).items()
    }
    if not spreads:
        raise ValueError("the comparison needs runs of mode=base: they show how far apart samples of the model are")
    rated = [run for run in runs if not is_base(run)]
    by_cell = grouped(rated, lambda run: (task_of(run), read_budget(run)))
    cells = {
        cell: {
            name: returned_of(same, spreads[model_of(same[0])])
            for name, same in grouped(own, lambda run: method_name(run.settings, APART)).items()
        }
        for cell, own in by_cell.items()
    }
    found = contests({cell: {name: one.qualities for name, one in own.items()} for cell, own in cells.items()})
    return Comparison(cells, found, dominated(found))


def model_of(run: RunSummary) -> str:
    return run.settings.get("model", "mnist")


def interval(values: Tensor) -> tuple[float, float]:
    """The 95% interval of a mean: Wilson's for shares, the bootstrap's for others."""
    if bool(((values == 0) | (values == 1)).all()):
        return wilson(int(values.sum()), len(values))
    return bootstrap(values)
