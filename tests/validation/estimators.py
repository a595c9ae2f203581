"""Estimator by look-ahead on the same random problems: ``python -m tests.validation.estimators [problems=12]``.

Prints the Markdown table of ``docs/estimators.md``: bias in standard errors, variance and cost of every legal pair of
weights and look-ahead, with both transports; and, to compare, what short weights make of look-aheads that they refuse.
"""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch

from fmtt.flow.schedules import PowerEpsilon, PowerRamp
from fmtt.methods.trajectory import Trajectory
from tests.mutants import short_anyway
from tests.support import TRANSPORTED
from tests.validation.problems import GROUPS, LOOK_AHEADS, PARTICLES, TRANSPORTS, Score, problem, score

STATISTICS = ("z", "mean", "square")
STEPS = 100


@dataclass(frozen=True)
class Estimator:
    """A way to the tilted law; ``wrong`` are short weights for a look-ahead that is not transported."""

    look_ahead: str
    weights: str
    transport: str
    wrong: bool = False

    @property
    def mutation(self) -> Callable[[Trajectory], Trajectory]:
        return short_anyway if self.wrong else lambda loop: loop


def estimators() -> Iterator[Estimator]:
    for look_ahead in LOOK_AHEADS:
        for transport in TRANSPORTS:
            kinds = ["kernel", "material"] + ["jarzynski"] * (look_ahead in TRANSPORTED or look_ahead == "flowmap2")
            yield from (Estimator(look_ahead, kind, transport) for kind in kinds)
    yield from (Estimator(name, "material", "euler", wrong=True) for name in ("none", "denoiser", "diffusion4"))


def measured(task: tuple[Estimator, int]) -> Score:
    torch.set_num_threads(1)
    estimator, number = task
    same = {"resampler": "systematic", "threshold": 0.5, "epsilon": PowerEpsilon(), "ramp": PowerRamp()}
    ways = {key: getattr(estimator, key) for key in ("look_ahead", "weights", "transport")}
    return score(replace(problem(number), **same, **ways), estimator.mutation, STEPS)


def row(estimator: Estimator, scores: list[Score]) -> str:
    """The sums of scores over problems, divided by their root, are standard normal where there is no bias."""
    bias = [sum(getattr(s, statistic) for s in scores) / len(scores) ** 0.5 for statistic in STATISTICS]
    variance = torch.tensor([s.relative_variance for s in scores]).log().mean().exp()
    cost = sum(s.evaluations for s in scores) / len(scores)
    name = "short weights (refused)" if estimator.wrong else f"`{estimator.weights}`"
    cells = [f"`{estimator.look_ahead}`", f"`{estimator.transport}`", name, *(f"{b:+.1f}" for b in bias)]
    return f"| {' | '.join(cells)} | {variance:.3f} | {cost:.1f} |"


def main() -> None:
    options = dict(argument.split("=", 1) for argument in sys.argv[1:])
    count = int(options.get("problems", 12))
    every = list(estimators())
    with multiprocessing.get_context("spawn").Pool(int(options.get("processes", 2))) as pool:
        tasks = [(estimator, number) for estimator in every for number in range(count)]
        scores = pool.map(measured, tasks, chunksize=4)
    print(f"{count} problems, {GROUPS} groups of {PARTICLES} particles, {STEPS} steps.\n")
    heads = ("look-ahead", "transport", "weights", "Z", "mean", "square", "variance of Z", "evaluations")
    print(f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
    for k, estimator in enumerate(every):
        print(row(estimator, scores[k * count : (k + 1) * count]))


if __name__ == "__main__":
    main()
