"""The statistical suite: ``python -m tests.validation.suite [problems=500] [processes=2]``, part of ``make validate``.

Scores many random problems against their closed forms, tests that the scores are standard normal, measures the weak
order of convergence in the step size, shows that every mutant of the sampler is caught, and leaves
``outputs/validation/report.html`` and ``scores.json``. The exit status is 1 if a check fails.
"""

from __future__ import annotations

import json
import multiprocessing
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from multiprocessing.pool import Pool
from pathlib import Path
from typing import NamedTuple

import torch

from fmtt.flow.schedules import ZeroEpsilon
from fmtt.step.transport import FlowMapTransport
from tests.gaussian_chain import reference
from tests.mutants import MUTANTS
from tests.support import Setup, deviations, last, worst
from tests.validation.page import write_page
from tests.validation.problems import Score, normal_distance, problem, score

FOLDER = Path("outputs/validation")
STATISTICS = ("z", "mean", "square")
ENOUGH = 20  # problems in a group that is tested by itself
ACCEPTED = 1.95  # Kolmogorov-Smirnov, sqrt(n) D: exceeded with probability .001
CAUGHT = 6.0  # standard errors
STEPS = (8, 16, 32)


class Group(NamedTuple):
    """The scores of problems that have something in common."""

    name: str
    count: int
    mean: float
    rms: float
    distance: float
    variance: float
    evaluations: float


class Order(NamedTuple):
    """Relative error of Z and its standard error at each number of steps; the order fitted to them, and its error."""

    name: str
    steps: tuple[int, ...]
    errors: tuple[float, ...]
    uncertainties: tuple[float, ...]
    order: float
    uncertainty: float


class Mutant(NamedTuple):
    """Largest deviation of the right and of the mutated sampler in standard errors."""

    name: str
    right: float
    mutated: float


def scored(number: int) -> Score:
    torch.set_num_threads(1)
    return score(problem(number))


def collect(pool: Pool, problems: int) -> list[Score]:
    """The scores of the problems 0 to ``problems - 1``."""
    scores: list[Score] = []
    for done in pool.imap(scored, range(problems), chunksize=5):
        scores.append(done)
        if len(scores) % 50 == 0:
            print(f"{len(scores)} of {problems} problems", file=sys.stderr, flush=True)
    return scores


def groups_of(scores: list[Score]) -> list[Group]:
    """All problems, and those with equal weights and look-ahead, with equal resampler, and with equal transport."""
    members: dict[str, list[Score]] = defaultdict(list)
    for entry in scores:
        for name in ("all", f"{entry.weights}, {entry.look_ahead}", entry.resampler, entry.transport):
            members[name].append(entry)
    return [summary(name, entries) for name, entries in sorted(members.items())]


def summary(name: str, scores: list[Score]) -> Group:
    values = torch.tensor([[getattr(entry, statistic) for statistic in STATISTICS] for entry in scores])
    distance = max(normal_distance(column) for column in values.T)
    variance = torch.tensor([entry.relative_variance for entry in scores]).median().item()
    evaluations = torch.tensor([entry.evaluations for entry in scores]).mean().item()
    mean, rms = values.mean().item(), values.square().mean().sqrt().item()
    return Group(name, len(scores), mean, rms, distance, variance, evaluations)


def measured_order(case: tuple[str, Setup]) -> Order:
    """The slope of log |error of Z| over log step, by least squares weighted with the errors' own errors."""
    torch.set_num_threads(1)
    name, setup = case
    errors, uncertainties = [], []
    for steps in STEPS:
        at = setup.but(steps=steps)
        z = deviations(last(at.loop()).population, at.truth())["Z"]
        errors.append(z.mean().item())
        uncertainties.append((z.std() / len(z) ** 0.5).item())
    return Order(name, STEPS, tuple(errors), tuple(uncertainties), *slope(errors, uncertainties))


def slope(errors: Sequence[float], uncertainties: Sequence[float]) -> tuple[float, float]:
    """The order and its standard error; NaN where fewer than two errors stand out of the noise."""
    clear = [k for k in range(len(STEPS)) if abs(errors[k]) > 3 * uncertainties[k]]
    if len(clear) < 2:
        return float("nan"), float("nan")
    x, y = (torch.tensor([float(v[k]) for k in clear]).abs().log() for v in (STEPS, errors))
    weight = torch.tensor([(errors[k] / uncertainties[k]) ** 2 for k in clear])
    x = x - (weight @ x) / weight.sum()
    spread = weight @ x**2
    return -((weight * x) @ y / spread).item(), spread.rsqrt().item()


# Many particles, so that the error of the step stands out; and a flow map whose own error does not.
COARSE = Setup(model="mixture with a fine map", weights="jarzynski", groups=64, particles=1024, ess_threshold=0.0)
ORDERS = {
    "jarzynski, Euler": COARSE,
    "jarzynski, flow map": COARSE.but(transport=FlowMapTransport),
    "jarzynski, Euler, no noise": COARSE.but(epsilon=ZeroEpsilon()),
    "jarzynski, flow map, no noise": COARSE.but(epsilon=ZeroEpsilon(), transport=FlowMapTransport),
    "material, denoiser, Euler": COARSE.but(weights="material", look_ahead="denoiser"),
    "material, denoiser, flow map": COARSE.but(weights="material", look_ahead="denoiser", transport=FlowMapTransport),
    "kernel, Euler": COARSE.but(weights="kernel"),
    "kernel, flow map": COARSE.but(weights="kernel", transport=FlowMapTransport),
}


def mutant(name: str) -> Mutant:
    torch.set_num_threads(1)
    setup, mutate = MUTANTS[name]
    truth = reference(setup)
    right, mutated = (worst(last(s).population, truth) for s in (setup.loop(), mutate(setup.loop())))
    return Mutant(name, right, mutated)


def failures(groups: list[Group], orders: list[Order], mutants: list[Mutant]) -> list[str]:
    """The checks that fail, in words."""
    return [
        *(f"scores of '{g.name}' are not standard normal: sqrt(n) D = {g.distance:.2f}"
          for g in groups if g.count >= ENOUGH and g.distance > ACCEPTED),
        *(f"'{o.name}' converges with order {o.order:.2f} ± {o.uncertainty:.2f}, not 1 or better"
          for o in orders if o.order + 3 * o.uncertainty < 0.8),
        *(f"mutant '{m.name}' is not caught: {m.mutated:.1f}" for m in mutants if m.mutated < CAUGHT),
        *(f"the right sampler of mutant '{m.name}' is off: {m.right:.1f}" for m in mutants if m.right > 4),
    ]  # fmt: skip


def main() -> int:
    options = dict(argument.split("=", 1) for argument in sys.argv[1:])
    started = time.perf_counter()
    with multiprocessing.get_context("spawn").Pool(int(options.get("processes", 2))) as pool:
        mutants = pool.map(mutant, MUTANTS, chunksize=1)
        orders = pool.map(measured_order, ORDERS.items(), chunksize=1)
        scores = collect(pool, int(options.get("problems", 500)))
    groups = groups_of(scores)
    wrong = failures(groups, orders, mutants)
    minutes = (time.perf_counter() - started) / 60
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / "scores.json").write_text(json.dumps([entry._asdict() for entry in scores], indent=1))
    page = write_page(FOLDER, scores, groups, orders, mutants, wrong, minutes)
    for group in groups:
        print(f"{group.name:24} {group.count:4} problems, rms {group.rms:.3f}, sqrt(n) D {group.distance:.2f}")
    for order in orders:
        errors = ", ".join(f"{error:+.4f}" for error in order.errors)
        print(f"{order.name:30} order {order.order:.2f} ± {order.uncertainty:.2f}, errors {errors}")
    print(f"{sum(m.mutated >= CAUGHT for m in mutants)} of {len(mutants)} mutants caught; {minutes:.1f} minutes")
    for line in wrong:
        print("FAILED:", line)
    print(page)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
