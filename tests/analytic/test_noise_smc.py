"""Annealed SMC in the space of the noise: its estimates against closed forms at fixed and at adaptive temperatures,
what must hold in every run, and what is refused.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import Tensor

from fmtt import engine
from fmtt.look_ahead import Denoiser, NoLookAhead
from fmtt.methods.noise_moves import MOVES
from fmtt.methods.noise_smc import noise_smc
from fmtt.models.analytic import MixtureLaw
from fmtt.noise import Noise
from fmtt.rewards.plane import Linear
from fmtt.schedules import PowerEpsilon
from tests.analytic.noise_space import ADAPTIVE, EACH_MOVE, FINE, FIXED, SMALL, Annealed, end, evenly, found, tilted
from tests.analytic.support import GAUSSIAN, LOOK_AHEADS, REWARDS, Truth, standardised, worst
from tests.unit.test_sampler import differing

# --- closed forms ----------------------------------------------------------------------------------------------


@EACH_MOVE
@pytest.mark.parametrize("reward", REWARDS)
@pytest.mark.parametrize("steps", [1, 4, 12])
def test_gaussian_at_fixed_temperatures(move: str, reward: str, steps: int) -> None:
    """Few sweeps are as unbiased as many; Z itself is, at any number of particles."""
    seed = 100 * steps + 10 * list(MOVES).index(move) + (reward == "linear")
    setup = FIXED.but(move=move, reward=reward, steps=steps, temperatures=evenly(steps), scale=1.5, seed=seed)
    assert found(setup) < 4


@EACH_MOVE
@pytest.mark.parametrize("reward", REWARDS)
def test_mixture_at_fixed_temperatures(move: str, reward: str) -> None:
    setup = FIXED.but(model=FINE, move=move, reward=reward, groups=200, particles=32, stride=0.8, seed=30)
    assert found(setup) < 4


@EACH_MOVE
@pytest.mark.parametrize(("model", "steps"), [("gaussian", 4), ("gaussian", 12), (FINE, 4)])
def test_adaptive_temperatures_and_strides(move: str, model: str, steps: int) -> None:
    groups = 256 if model == "gaussian" else 200
    assert found(ADAPTIVE.but(model=model, move=move, steps=steps, groups=groups, scale=1.5, seed=31)) < 4


@pytest.mark.parametrize("resampler", ["stratified", "residual", "multinomial", "ssp"])
def test_resamplers_and_many_moves(resampler: str) -> None:
    setup = FIXED.but(resampler=resampler, moves=3, ess_threshold=0.99, scale=2.0, seed=32)
    state = end(setup.loop())
    assert worst(state.population, setup.truth()) < 4
    assert state.selections.min() == 3


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
    assert state.temper.unique().tolist() == [0.5]


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


# --- what must hold in every run -------------------------------------------------------------------------------


@EACH_MOVE
@pytest.mark.parametrize("setup", [FIXED, ADAPTIVE], ids=["fixed", "adaptive"])
def test_no_reward_is_no_evidence(move: str, setup: Annealed) -> None:
    for loop in (
        setup.but(move=move, groups=4, scale=0.0).loop(),
        setup.but(move=move, groups=4).loop(Linear((0.0, 0.0))),
    ):
        state = end(loop)
        torch.testing.assert_close(state.population.log_evidence, torch.zeros(4).double(), rtol=0, atol=1e-12)
        torch.testing.assert_close(state.acceptance, torch.ones(4).double(), rtol=0, atol=1e-5)


@EACH_MOVE
def test_constant_in_the_reward_shifts_log_z_and_changes_no_sample(move: str) -> None:
    setup = FIXED.but(move=move, groups=8, scale=3.0, ess_threshold=0.99, seed=50)

    def reward(x: Tensor, constant: float = 0.0) -> Tensor:
        return REWARDS["quadratic"](x.double()) + constant

    plain, shifted = end(setup.loop(reward)), end(setup.loop(partial(reward, constant=-7.3)))
    assert plain.selections.min() > 0
    assert torch.equal(plain.population.x, shifted.population.x)
    shift = shifted.population.log_evidence - plain.population.log_evidence
    torch.testing.assert_close(shift, torch.full((8,), 3.0 * -7.3).double())


@EACH_MOVE
@pytest.mark.parametrize("chunk", [1, 7, 48])
def test_chunks_do_not_matter(move: str, chunk: int) -> None:
    setup = SMALL.but(model="gaussian", move=move)
    assert differing(end(setup.loop()), end(setup.but(chunk=chunk).loop()), exactly=False) == []


@EACH_MOVE
def test_groups_run_together_or_apart(move: str) -> None:
    loop = SMALL.but(move=move).loop()
    together = end(loop)
    assert together.selections.min() > 0
    for group in range(3):
        apart = end(replace(loop, noise=Noise(11, (group,))))
        assert differing(together, apart, exactly=False, group=group) == []


@EACH_MOVE
@pytest.mark.parametrize("step", [0, 1, 5, 8])
def test_run_goes_on_from_any_state(move: str, step: int) -> None:
    setup = SMALL.but(move=move, moves=2)
    states = list(setup.loop().run())
    resumed = list(setup.loop().run(states[step]))
    assert [state.step for state in resumed] == list(range(step, 9))
    assert differing(states[-1], resumed[-1], exactly=True) == []


@EACH_MOVE
def test_moves_never_use_a_draw_twice(move: str) -> None:
    keys = []

    class Recording(Noise):
        def normal(self, shape: tuple[int, ...], step: int, purpose: str) -> Tensor:
            keys.append((step, purpose))
            return super().normal(shape, step, purpose)

        def uniform(self, shape: tuple[int, ...], step: int, purpose: str) -> Tensor:
            keys.append((step, purpose))
            return super().uniform(shape, step, purpose)

    end(replace(SMALL.but(move=move, moves=3).loop(), noise=Recording(11, (0, 1, 2))))
    assert len(keys) == len(set(keys)) == 1 + 8 * (1 + 2 * 3)


@EACH_MOVE
def test_caches_belong_to_their_particles_after_every_sweep(move: str) -> None:
    loop = SMALL.but(move=move, resampler="multinomial").loop()
    states = list(loop.run())
    assert states[-1].selections.min() > 0
    for state in states[:-1]:
        fresh, cached = loop.evaluate(state.population.x), state.population.tilt
        for name, values in fresh._asdict().items():
            if values is not None:
                torch.testing.assert_close(getattr(cached, name), values, rtol=1e-4, atol=1e-4)
    landed = states[-1].population
    reward = REWARDS["quadratic"](landed.x.flatten(0, 1)).double().reshape(3, 16)
    torch.testing.assert_close(landed.tilt.reward, reward)
    assert torch.equal(landed.x, landed.tilt.sample)


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.9])
def test_temperatures_rise_to_one_as_far_as_the_weights_bear(threshold: float) -> None:
    setup = ADAPTIVE.but(groups=16, steps=40, scale=20.0, ess_threshold=threshold, seed=51)
    states = list(setup.loop().run())
    assert (states[0].temper == 0).all()
    assert (states[-1].temper == 1).all()
    for before, after in itertools.pairwise(states):
        assert (after.temper >= before.temper).all()
        climbing = (after.temper < 1) & (before.temper < 1)
        assert (after.temper[climbing] > before.temper[climbing]).all()
        assert (after.ess[climbing] < threshold + 1e-6).all()  # it went as far as it could
        assert after.selected[after.temper < 1].all()  # else it may have stopped just short of the threshold for good
        if after.step < 40:
            assert (after.ess >= threshold - 1e-9).all()
    assert states[1].temper.max() < 1


def test_weights_that_bear_next_to_nothing_still_let_the_temperatures_rise() -> None:
    states = list(ADAPTIVE.but(groups=16, steps=30, scale=1e5, seed=51).loop().run())
    assert all(after.selected[after.temper < 1].all() for after in states[1:])
    assert states[1].temper.max() < 1


@EACH_MOVE
def test_infinite_reward_of_the_last_move_is_not_returned(move: str) -> None:
    """Refused or reported, as it is in every sweep but the last."""

    def reward(x: Tensor) -> Tensor:
        return torch.where(x[:, 0] > 2.3, torch.inf, x[:, 0])

    loop = FIXED.but(move=move, groups=4, particles=16, stride=0.9, steps=1, temperatures=(), seed=0).loop(reward)
    try:
        state = end(loop)
    except FloatingPointError:
        return
    assert state.population.tilt.reward.isfinite().all()


def test_temperatures_reach_one_in_too_few_sweeps() -> None:
    states = list(ADAPTIVE.but(groups=4, steps=2, scale=50.0).loop().run())
    assert states[1].temper.max() < 1
    assert (states[2].temper == 1).all()
    assert states[2].ess.max() < 0.5
    assert not states[2].selected.any()


def test_nothing_adapts_where_all_is_given() -> None:
    states = list(FIXED.but(groups=2).loop().run())
    assert [state.temper.unique().tolist() for state in states] == [[0.0], *([t] for t in FIXED.temperatures)]
    assert all(state.stride.unique().tolist() == [0.5] for state in states)


@EACH_MOVE
def test_acceptance_approaches_the_target(move: str) -> None:
    setup = ADAPTIVE.but(move=move, groups=16, steps=50, scale=30.0, stride=0.02, seed=52)
    states = list(setup.loop().run())
    late = torch.stack([state.acceptance for state in states[-20:]]).mean(0)
    assert (late - MOVES[move]().target).abs().max() < 0.05
    assert (states[1].acceptance > 0.9).all()  # it had a long way to go
    strides = torch.stack([state.stride for state in states])
    assert (strides > 1e-3).all()
    assert (strides <= 1).all()


def test_epsilon_is_of_no_account() -> None:
    one, other = (end(FIXED.but(groups=2, epsilon=PowerEpsilon(c)).loop()) for c in (1.0, 3.0))
    assert differing(one, other, exactly=True) == []


# --- refusals --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("look_ahead", [NoLookAhead, Denoiser])
def test_what_generates_nothing_is_refused(look_ahead: Callable) -> None:
    with pytest.raises(ValueError, match=f"mode=noise_smc: .*{look_ahead.__name__}.*use the look-ahead flowmap1"):
        engine.sample(GAUSSIAN, REWARDS["linear"], look_ahead=look_ahead, mode=noise_smc, steps=2)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"move": "gibbs"}, "mode.move=gibbs: must be one of pcn, pcnl, hmc"),
        ({"moves": 0}, "mode.moves=0: must be a whole number of at least 1"),
        ({"ess_threshold": 0.0}, "mode.ess_threshold=0.0: must lie between 0 and 1"),
        ({"ess_threshold": 1.0}, "mode.ess_threshold=1.0: must lie between 0 and 1"),
        ({"ess_threshold": 1.5}, r"mode.ess_threshold=1.5: must lie in \[0, 1\]"),
        ({"ess_threshold": None}, "mode.ess_threshold=None: must be a finite number"),
        ({"resampler": "wheel"}, "mode.resampler=wheel: must be one of systematic"),
        ({"stride": 2.0}, "mode.stride=2.0: must be at most 1"),
        ({"stride": 0.0}, "mode.stride=0.0: must be positive"),
        ({"stride": math.nan}, "mode.stride=nan: must be a finite number"),
        ({"adapt": -1.0}, "mode.adapt=-1.0: must be at least 0"),
        ({"adapt": math.nan}, "mode.adapt=nan: must be a finite number"),
        ({"adapt": None}, "mode.adapt=None: must be a finite number"),
        ({"temperatures": (0.5, 0.5, 0.7, 1.0)}, r"mode.temperatures=\[0.5, 0.5, 0.7, 1.0\]: must rise from above 0"),
        ({"temperatures": (0.0, 0.5, 0.7, 1.0)}, r"mode.temperatures=\[0.0, 0.5, 0.7, 1.0\]: must rise from above 0"),
        ({"temperatures": (0.2, 0.5, 0.7, 0.9)}, r"mode.temperatures=\[0.2, 0.5, 0.7, 0.9\]: must rise .* to 1"),
        ({"temperatures": (0.2, 0.5, 0.7, 1.2)}, r"mode.temperatures=1.2: must lie in \[0, 1\]"),
        ({"temperatures": (0.5, 1.0)}, "mode.temperatures: needs one for each of the 4 sweeps, got 2"),
    ],
)
def test_bad_arguments_are_named(arguments: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        engine.assemble(GAUSSIAN, REWARDS["linear"], mode=partial(noise_smc, **arguments), steps=4)


def test_no_sweep_is_refused() -> None:
    with pytest.raises(ValueError, match=r"sampler\.steps=0"):
        engine.assemble(GAUSSIAN, REWARDS["linear"], mode=noise_smc, steps=0)


def test_reward_of_a_proposal_that_is_not_a_number_is_named() -> None:
    def reward(x: Tensor) -> Tensor:
        return torch.where(x[:, 0] > 2.5, math.nan, x[:, 0])

    with pytest.raises(FloatingPointError, match=r"the reward is nan for particle \d+ of group \d+ at step \d+"):
        end(FIXED.but(move="pcn").loop(reward))
