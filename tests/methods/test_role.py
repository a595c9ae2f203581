"""Which particle a method returns: its best one, or a draw by weight."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest
import torch

import fmtt
from fmtt import modes
from fmtt.flow.noise import Noise
from fmtt.methods.method import Method
from fmtt.methods.role import returned, role_of
from fmtt.smc.population import Population
from fmtt.tilt.tilt import TiltValue
from tests.support import GAUSSIAN, REWARDS


def populations(reward: torch.Tensor, log_weights: torch.Tensor) -> Population:
    return replace(Population.start(torch.zeros(*reward.shape, 2), TiltValue(reward, reward)), log_weights=log_weights)


def test_a_maximiser_returns_the_best() -> None:
    reward = torch.tensor([[0.0, 3.0, 1.0], [5.0, 3.0, 1.0]]).double()
    assert returned("maximise", populations(reward, -reward), Noise(0, (0, 1))).tolist() == [1, 0]


def test_a_sampler_returns_a_draw_by_weight() -> None:
    groups = 20_000
    weights = torch.tensor([0.1, 0.0, 0.55, 0.35], dtype=torch.float64)
    population = populations(torch.zeros(groups, 4).double(), weights.log().expand(groups, 4))
    chosen = returned("sample", population, Noise(0, tuple(range(groups))))
    share = torch.bincount(chosen, minlength=4).double() / groups
    error = (weights * (1 - weights) / groups).sqrt()
    assert share[1] == 0
    assert ((share - weights)[weights > 0] / error[weights > 0]).abs().max() < 4


def test_what_a_group_returns_does_not_depend_on_the_others() -> None:
    log_weights = torch.arange(12).reshape(3, 4).double().cos()
    population = populations(log_weights, log_weights)
    together = returned("sample", population, Noise(4, (0, 1, 2)))
    alone = returned("sample", populations(log_weights[1:2], log_weights[1:2]), Noise(4, (1,)))
    assert together[1] == alone[0]


@pytest.mark.parametrize("mode", [modes.importance, modes.noise_smc, modes.das, modes.fk_steering, modes.reweight])
def test_samplers_play_both_roles(mode: Callable[[], Method]) -> None:
    assert (role_of(mode(), None), role_of(mode(), "maximise")) == ("sample", "maximise")


@pytest.mark.parametrize("mode", [modes.search, modes.best_of_n, modes.noise_opt, modes.auto, modes.svdd])
def test_maximisers_do_not_sample(mode: Callable[[], Method]) -> None:
    assert role_of(mode(), None) == "maximise"
    with pytest.raises(ValueError, match="role=sample: the particles of this mode follow no known law"):
        role_of(mode(), "sample")


def test_a_run_returns_what_its_role_says() -> None:
    run = partial(
        fmtt.assemble, GAUSSIAN, REWARDS["quadratic"], mode=modes.importance, steps=6, groups=20, particles=12
    )
    states = {role: (made := run(role=role), made.loop.last()) for role in (None, "sample", "maximise")}
    chosen = {role: fmtt.finish(*pair).selected for role, pair in states.items()}
    rewards = states[None][1].population.tilt.reward
    assert torch.equal(chosen["maximise"], rewards.argmax(1))
    assert torch.equal(chosen[None], chosen["sample"])
    assert not torch.equal(chosen["maximise"], chosen["sample"])


def test_published_code_returns_the_heaviest() -> None:
    log_weights = torch.tensor([[0.0, 3.0, 1.0], [5.0, 3.0, 1.0]]).double()
    assert modes.das(heaviest=True).role == "heaviest" and modes.das().role == "sample"
    assert returned("heaviest", populations(-log_weights, log_weights), Noise(0, (0, 1))).tolist() == [1, 0]
    assert role_of(modes.das(heaviest=True), "sample") == "sample"
