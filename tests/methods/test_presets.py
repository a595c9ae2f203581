"""Presets: what they are made of and what they return."""

from dataclasses import replace

import pytest
import torch

from fmtt.flow.noise import Noise
from fmtt.methods import presets as modes
from fmtt.methods.composition import Composition
from fmtt.methods.loop import State
from fmtt.smc.population import Population
from fmtt.smc.selection import KeepAll, ResampleOnEss, TopAndClone
from fmtt.step.guidance import TiltGradient
from fmtt.step.weights import NoWeights
from fmtt.tilt.tilt import TiltValue
from tests.support import Setup, last

PROBLEM = Setup(steps=20, groups=8, particles=24).problem


def run(mode: Composition) -> State:
    return last(mode.loop(PROBLEM))


@pytest.mark.parametrize(
    ("build", "guidance", "weighted", "selection", "greedy"),
    [
        (modes.base, type(None), False, KeepAll, False),
        (modes.guidance, TiltGradient, False, KeepAll, False),
        (modes.tilted_ode, TiltGradient, False, KeepAll, True),
        (modes.importance, TiltGradient, True, ResampleOnEss, False),
        (modes.search, TiltGradient, False, TopAndClone, True),
    ],
)
def test_composition(build, guidance, weighted: bool, selection, greedy: bool) -> None:
    mode = build()
    assert isinstance(mode.guidance, guidance)
    assert isinstance(mode.weights, NoWeights) != weighted
    assert mode.weighted == weighted
    assert isinstance(mode.selection, selection)
    assert mode.greedy == greedy
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


def populations(reward: torch.Tensor, log_weights: torch.Tensor) -> Population:
    return replace(Population.start(torch.zeros(*reward.shape, 2), TiltValue(reward, reward)), log_weights=log_weights)


def test_greedy_choice_is_the_best() -> None:
    reward = torch.tensor([[0.0, 3.0, 1.0], [5.0, 3.0, 1.0]]).double()
    assert modes.search().choose(populations(reward, -reward), Noise(0, (0, 1))).tolist() == [1, 0]


def test_other_choices_are_draws_by_weight() -> None:
    groups = 20_000
    weights = torch.tensor([0.1, 0.0, 0.55, 0.35], dtype=torch.float64)
    population = populations(torch.zeros(groups, 4).double(), weights.log().expand(groups, 4))
    chosen = modes.importance().choose(population, Noise(0, tuple(range(groups))))
    share = torch.bincount(chosen, minlength=4).double() / groups
    error = (weights * (1 - weights) / groups).sqrt()
    assert share[1] == 0
    assert ((share - weights)[weights > 0] / error[weights > 0]).abs().max() < 4


def test_choice_of_a_group_does_not_depend_on_the_others() -> None:
    log_weights = torch.arange(12).reshape(3, 4).double().cos()
    population = populations(log_weights, log_weights)
    mode = modes.importance()
    together = mode.choose(population, Noise(4, (0, 1, 2)))
    alone = mode.choose(populations(log_weights[1:2], log_weights[1:2]), Noise(4, (1,)))
    assert together[1] == alone[0]
