"""No graph where no gradient is used: each call that keeps one is a call through which a gradient goes back."""

from __future__ import annotations

from functools import partial

import pytest
import torch

import fmtt
from fmtt.studies.floor import recorded
from tests.support import GAUSSIAN, REWARDS

WITHOUT = ("best_of_n", "fk_steering", "beam", "svdd", "multi_best_of_n", "local_tilt", "reweight", "base")
WITH = (
    "importance",
    "search",
    "tds",
    "das",
    "noise_opt",
    "fmrg",
    "diamond",
    "guidance",
    "tilted_ode",
    "auto",
    "noise_smc",
)
TRIED = {"auto": 1, "noise_smc": 1}  # ask by one call whether the reward has a gradient


@pytest.mark.parametrize("mode", [*WITHOUT, *WITH])
@pytest.mark.parametrize("chunk", [None, 8])
def test_a_graph_is_kept_for_a_gradient_alone(mode: str, chunk: int | None) -> None:
    with recorded() as calls, torch.no_grad():
        run = fmtt.assemble(
            GAUSSIAN, REWARDS["quadratic"], mode=getattr(fmtt.modes, mode), steps=6, groups=3, particles=8, chunk=chunk,
            look_ahead=partial(fmtt.FlowMapJumps, steps=1),
        )  # fmt: skip
        fmtt.finish(run, run.loop.last())
    assert sum(call.graph and not call.back for call in calls) == TRIED.get(mode, 0)
    assert any(call.back for call in calls) == (mode in WITH)
