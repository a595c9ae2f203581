"""Presets: what they are made of and what they return."""

import pytest
import torch

from fmtt.flow.noise import Noise
from fmtt.flow.schedules import PowerEpsilon, PowerGrid, PowerRamp
from fmtt.methods import presets as modes
from fmtt.methods.loop import State
from fmtt.methods.trajectory import Trajectory
from fmtt.smc.population import Population
from fmtt.smc.selection import KeepAll, ResampleOnEss, TopAndClone
from fmtt.step.dynamics import Dynamics
from fmtt.step.guidance import NoGuidance, TiltGradient
from fmtt.step.transport import Euler
from fmtt.step.weights import NoWeights
from fmtt.tilt.look_ahead import FlowMapJumps
from fmtt.tilt.tilt import Tilt, TiltValue
from tests.support import GAUSSIAN, REWARDS, last

LOOK, EPSILON = FlowMapJumps(GAUSSIAN, 1), PowerEpsilon()


def run(mode: modes.Mode, groups: int = 8, particles: int = 24, scale: float = 1.0) -> State:
    tilt = Tilt(LOOK, REWARDS["quadratic"], scale, PowerRamp(), 1_000_000)
    dynamics = Dynamics(GAUSSIAN, tilt, EPSILON, mode.guidance, mode.weights, Euler(GAUSSIAN))
    return last(Trajectory(dynamics, mode.selection, PowerGrid().times(20), particles, Noise(0, tuple(range(groups)))))


@pytest.mark.parametrize(
    ("build", "guidance", "weighted", "selection", "greedy"),
    [
        (modes.base, NoGuidance, False, KeepAll, False),
        (modes.guidance, TiltGradient, False, KeepAll, False),
        (modes.tilted_ode, TiltGradient, False, KeepAll, True),
        (modes.importance, TiltGradient, True, ResampleOnEss, False),
        (modes.search, TiltGradient, False, TopAndClone, True),
    ],
)
def test_composition(build, guidance, weighted: bool, selection, greedy: bool) -> None:
    mode = build(LOOK, EPSILON)
    assert isinstance(mode.guidance, guidance)
    assert isinstance(mode.weights, NoWeights) != weighted
    assert isinstance(mode.selection, selection)
    assert mode.greedy == greedy


def test_guidance_raises_the_reward_and_search_raises_it_more() -> None:
    base, guided, searched = (
        run(build(LOOK, EPSILON)).population for build in (modes.base, modes.guidance, modes.search)
    )
    rewards = [population.tilt.reward.mean().item() for population in (base, guided, searched)]
    assert rewards == sorted(rewards)
    assert rewards[2] - rewards[0] > 0.5
    for population in (base, guided, searched):
        assert torch.equal(population.log_weights, torch.zeros(8, 24).double())


def populations(reward: torch.Tensor, log_weights: torch.Tensor) -> Population:
    tilt = TiltValue(reward, reward, None, None)
    shape = reward.shape
    ancestors = torch.arange(shape[1]).expand(shape)
    return Population(torch.zeros(*shape, 2), tilt, log_weights, torch.zeros(shape[0]).double(), ancestors)


def test_greedy_choice_is_the_best() -> None:
    reward = torch.tensor([[0.0, 3.0, 1.0], [5.0, 3.0, 1.0]]).double()
    assert modes.search(LOOK, EPSILON).choose(populations(reward, -reward), Noise(0, (0, 1))).tolist() == [1, 0]


def test_other_choices_are_draws_by_weight() -> None:
    groups = 20_000
    weights = torch.tensor([0.1, 0.0, 0.55, 0.35], dtype=torch.float64)
    population = populations(torch.zeros(groups, 4).double(), weights.log().expand(groups, 4))
    chosen = modes.importance(LOOK, EPSILON).choose(population, Noise(0, tuple(range(groups))))
    share = torch.bincount(chosen, minlength=4).double() / groups
    error = (weights * (1 - weights) / groups).sqrt()
    assert share[1] == 0
    assert ((share - weights)[weights > 0] / error[weights > 0]).abs().max() < 4


def test_choice_of_a_group_does_not_depend_on_the_others() -> None:
    log_weights = torch.arange(12).reshape(3, 4).double().cos()
    population = populations(log_weights, log_weights)
    mode = modes.importance(LOOK, EPSILON)
    together = mode.choose(population, Noise(4, (0, 1, 2)))
    alone = mode.choose(populations(log_weights[1:2], log_weights[1:2]), Noise(4, (1,)))
    assert together[1] == alone[0]
