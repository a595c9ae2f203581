"""Annealed SMC in the space of the noise: its estimates against closed forms at fixed and at adaptive temperatures."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
import torch

from fmtt import api as engine
from fmtt.methods.noise_moves import MOVES
from fmtt.methods.noise_smc import noise_smc
from fmtt.models.analytic import MixtureLaw
from tests.methods.noise_space import ADAPTIVE, EACH_MOVE, FINE, FIXED, end, evenly, found, tilted
from tests.support import GAUSSIAN, LOOK_AHEADS, REWARDS, Truth, ended, standardised, worst


@EACH_MOVE
@pytest.mark.parametrize("reward", REWARDS)
@pytest.mark.parametrize("steps", [1, 4, 12])
def test_gaussian_at_fixed_temperatures(move: str, reward: str, steps: int) -> None:
    """Few sweeps are as unbiased as many; Z itself is, at any number of particles."""
    seed = 100 * steps + 10 * list(MOVES).index(move) + (reward == "linear")
    setup = FIXED.but(move=move, reward=reward, steps=steps, temperatures=evenly(steps), scale=1.5, seed=seed)
    assert found(setup) < 4


@pytest.mark.slow
@EACH_MOVE
@pytest.mark.parametrize("reward", REWARDS)
def test_mixture_at_fixed_temperatures(move: str, reward: str) -> None:
    setup = FIXED.but(model=FINE, move=move, reward=reward, groups=200, particles=32, stride=0.8, seed=30)
    assert found(setup) < 4


@pytest.mark.slow
@EACH_MOVE
@pytest.mark.parametrize(("model", "steps"), [("gaussian", 4), ("gaussian", 12), (FINE, 4)])
def test_adaptive_temperatures_and_strides(move: str, model: str, steps: int) -> None:
    groups = 256 if model == "gaussian" else 200
    assert found(ADAPTIVE.but(model=model, move=move, steps=steps, groups=groups, scale=1.5, seed=31)) < 4


@pytest.mark.parametrize("resampler", ["stratified", "residual", "multinomial", "ssp"])
def test_resamplers_and_many_moves(resampler: str) -> None:
    setup = FIXED.but(resampler=resampler, moves=3, ess_threshold=0.99, scale=2.0, seed=32)
    state, totals = ended(setup.loop())
    assert worst(state.population, setup.truth()) < 4
    assert totals.selections.min() == 3


@pytest.mark.parametrize("look_ahead", ["flowmap4", "diffusion2", "exact"])
def test_exact_for_the_generator_as_it_runs(look_ahead: str) -> None:
    """Two Euler steps are another generator than the flow map, with another law, and this is the one that is tilted."""
    setup = FIXED.but(look_ahead=look_ahead, scale=1.5, seed=33)
    ends = torch.tensor([[0.0, 0.0], [1.0, 1.0]]).double()
    origin, corner = LOOK_AHEADS[look_ahead](GAUSSIAN)(ends, torch.zeros(2).double()).sample
    law = MixtureLaw(origin[None], (corner - origin)[None].abs(), torch.zeros(1).double())
    law, log_z = tilted(law, setup)
    population = end(setup.loop()).population
    assert worst(population, Truth(law.mean, law.second_moment, log_z)) < 4
    if look_ahead == "diffusion2":
        assert worst(population, setup.truth()) > 6


def test_target_below_one() -> None:
    """What a mode that goes on from there starts with."""
    setup = FIXED.but(scale=2.0, seed=34)
    state = end(replace(setup.loop(), target=0.5))
    assert worst(state.population, setup.but(scale=1.0).truth()) < 4
    assert state.temperature.unique().tolist() == [0.5]


def test_one_call_of_the_library() -> None:
    setup = FIXED.but(scale=1.5)
    mode = partial(noise_smc, temperatures=setup.temperatures, adapt=0.0)
    reward, truth = REWARDS["quadratic"], setup.truth()
    result = engine.sample(GAUSSIAN, reward, mode=mode, scale=1.5, steps=4, groups=256, particles=64, seed=35)
    log_z, error = result.log_z_and_error
    assert abs(log_z - truth.log_z) < 4 * error
    means = result.mean(result.samples)
    assert all(abs(standardised(means[:, d] - truth.mean[d])) < 4 for d in range(2))
    torch.testing.assert_close(result.rewards, reward(result.samples.flatten(0, 1)).double().reshape(256, 64))
    drawn = result.samples[torch.arange(256), result.selected]
    assert all(abs(standardised(drawn[:, d] - truth.mean[d])) < 4 for d in range(2))
