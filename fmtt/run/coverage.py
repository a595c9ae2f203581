"""How often does the interval for log Z hold the truth, where a run prints no doubt about it?

A task with a known answer is run once with as many groups as many small runs have together. Each small run then has
its own groups, its own interval and its own doubts, as if it were alone; the pilots of schedules are shared.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, cast

import torch
from hydra import compose, initialize_config_dir

from fmtt.api import finish
from fmtt.evaluation.reliability import doubts_of_weights
from fmtt.methods.loop import State, totals
from fmtt.run.build import build
from fmtt.run.configs import CONFIGS
from fmtt.run.exact_metrics import exact_metrics
from fmtt.run.metrics import estimates
from fmtt.run.outcome import Outcome
from fmtt.smc.totals import Totals

ALWAYS = ("baseline=false", "report=false", "logger=none", "population.chunk=65536")


class Coverage(NamedTuple):
    """Of how many runs the interval held the truth.

    Attributes:
        held: of each run, whether it did, ``(R,)``.
        doubted: of each run, whether a doubt was printed, ``(R,)``.
    """

    held: Sequence[bool]
    doubted: Sequence[bool]


def coverage(words: Sequence[str], runs: int, groups: int) -> Coverage:
    """That of the run which ``words`` describe, as the command line does, with so many groups; ``runs`` of them."""
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        config = compose("config", overrides=[*ALWAYS, *words, f"population.groups={runs * groups}"])
    total: Totals | None = None
    last: State | None = None
    with torch.no_grad():
        run = build(config).run.tuned()
        for reached, info in run.loop.run():
            last, total = reached, totals(info, total)
        assert last is not None and total is not None
        outcome = Outcome(finish(run, last), total, None, run.loop.steps)
    truth, particles = cast(float, exact_metrics(run, 0)["exact/log_z"]), outcome.result.log_weights.shape[1]
    parts = torch.arange(runs * groups).reshape(runs, groups)
    found = [estimates(run, outcome.groups(part)) | {"population/particles": particles} for part in parts]
    ends = [(cast(float, own["log_z/low"]), cast(float, own["log_z/high"])) for own in found]
    return Coverage([low <= truth <= high for low, high in ends], [bool(doubts_of_weights(own)) for own in found])
