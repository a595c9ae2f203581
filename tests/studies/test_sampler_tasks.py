"""The tasks and methods of ``make samplers``: tilts are as strong as their names say, and every method can be run."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir

from fmtt.run.build import build
from fmtt.run.configs import CONFIGS

DATA = Path(__file__).parents[2] / "docs" / "data"
TASKS = [line.split() for line in (DATA / "sampler_tasks.txt").read_text().splitlines()]
METHODS = [line.split() for line in (DATA / "sampler_methods.txt").read_text().splitlines()]
SMALL = ["experiment=samplers", "model=normal", "budget.nfe=160"]


def settings(*words: str) -> list[str]:
    return [word for word in words if not word.startswith("seed=")]


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task[0])
def test_tilts_are_as_strong_as_they_are_called(task: list[str]) -> None:
    """``KL(tilted | base) = scale E[r] - log Z``, in closed form."""
    name, *words = task
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        run = build(compose("config", overrides=[*SMALL, *words])).run
    tilt, model = run.problem.tilt, run.problem.model.flow
    precision, slope, constant = tilt.reward.reward.quadratic_form(32)
    law, log_z = model.law.tilted(tilt.scale * precision, tilt.scale * slope, tilt.scale * constant)
    reward = -(precision * law.second_moment).sum() / 2 + (slope * law.mean).sum() + constant
    assert float(tilt.scale * reward - log_z) == pytest.approx(float(name.partition("_")[2]), rel=1e-4)


@pytest.mark.parametrize("method", METHODS, ids=" ".join)
def test_methods_keep_to_the_cost(method: list[str]) -> None:
    words = [*SMALL, *TASKS[0][1:], *settings(*method), "population.groups=2"]
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        job = build(compose("config", overrides=words))
    with torch.no_grad():
        run = job.run.tuned()
        run.loop.last()
    assert 100 < job.budget.cost(run.meter) / 2 <= 160
