"""Presets: what they are made of and what they return."""

import pytest
import torch

from fmtt.methods import presets as modes
from fmtt.methods.composition import Composition
from fmtt.methods.loop import State
from fmtt.smc.selection import KeepAll, ResampleOnEss, TopAndClone
from fmtt.step.guidance import TiltGradient
from fmtt.step.weights import NoWeights
from tests.support import Setup, last

PROBLEM = Setup(steps=20, groups=8, particles=24).problem


def run(mode: Composition) -> State:
    return last(mode.loop(PROBLEM))


@pytest.mark.parametrize(
    ("build", "guidance", "weighted", "selection", "role"),
    [
        (modes.base, type(None), False, KeepAll, "sample"),
        (modes.guidance, TiltGradient, False, KeepAll, "sample"),
        (modes.tilted_ode, TiltGradient, False, KeepAll, "maximise"),
        (modes.importance, TiltGradient, True, ResampleOnEss, "sample"),
        (modes.search, TiltGradient, False, TopAndClone, "maximise"),
    ],
)
def test_composition(build, guidance, weighted: bool, selection, role: str) -> None:
    mode = build()
    assert isinstance(mode.guidance, guidance)
    assert isinstance(mode.weights, NoWeights) != weighted
    assert mode.weighted == weighted
    assert isinstance(mode.selection, selection)
    assert mode.role == role
    loop = mode.loop(PROBLEM)
    assert loop.dynamics.guidance is mode.guidance
    assert loop.dynamics.weights.weighted == weighted
    assert loop.selection is mode.selection


def test_guidance_raises_the_reward_and_search_raises_it_more() -> None:
    base, guided, searched = (run(build()).population for build in (modes.base, modes.guidance, modes.search))
    rewards = [population.tilt.reward.mean().item() for population in (base, guided, searched)]
    assert rewards == sorted(rewards)
    assert rewards[2] - rewards[0] > 0.5
    for population in (base, guided, searched):
        assert torch.equal(population.log_weights, torch.zeros(8, 24).double())
