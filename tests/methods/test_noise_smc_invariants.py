"""Annealed SMC in the space of the noise: what must hold in every run, whatever its law."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import Tensor

from fmtt.flow.noise import Noise
from fmtt.rewards.plane import Linear
from tests.methods.noise_space import ADAPTIVE, EACH_MOVE, FIXED, SMALL, Annealed, end
from tests.methods.states import differing, end_of, way
from tests.support import REWARDS, ended


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

    (plain, totals), (shifted, _) = (ended(setup.loop(partial(reward, constant=constant))) for constant in (0.0, -7.3))
    assert totals.selections.min() > 0
    assert torch.equal(plain.population.x, shifted.population.x)
    shift = shifted.population.log_evidence - plain.population.log_evidence
    torch.testing.assert_close(shift, torch.full((8,), 3.0 * -7.3).double())


@EACH_MOVE
@pytest.mark.parametrize("chunk", [1, 7, 48])
def test_chunks_do_not_matter(move: str, chunk: int) -> None:
    setup = SMALL.but(model="gaussian", move=move)
    assert differing(end_of(setup.loop()), end_of(setup.but(chunk=chunk).loop()), exactly=False) == []


@EACH_MOVE
def test_groups_run_together_or_apart(move: str) -> None:
    loop = SMALL.but(move=move).loop()
    together = end_of(loop)
    assert together.totals.selections.min() > 0
    for group in range(3):
        apart = end_of(replace(loop, noise=Noise(11, (group,))))
        assert differing(together, apart, exactly=False, group=group) == []


@EACH_MOVE
@pytest.mark.parametrize("step", [0, 1, 5, 8])
def test_run_goes_on_from_any_state(move: str, step: int) -> None:
    setup = SMALL.but(move=move, moves=2)
    whole = way(setup.loop())
    resumed = way(setup.loop(), whole[step])
    assert [reached.state.step for reached in resumed] == list(range(step, 9))
    assert differing(whole[-1], resumed[-1], exactly=True) == []


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

    whole = way(replace(SMALL.but(move=move, moves=3).loop(), noise=Recording(11, (0, 1, 2))))
    resampled = [(state.step, "resampling") for state, info, _ in whole if info.selected.any()]
    assert 0 < len(resampled) < 8
    assert [key for key in keys if key[1] == "resampling"] == resampled  # only where a group needs it
    assert len(keys) == len(set(keys)) == 1 + len(resampled) + 8 * 2 * 3


@EACH_MOVE
def test_caches_belong_to_their_particles_after_every_sweep(move: str) -> None:
    loop = SMALL.but(move=move, resampler="multinomial").loop()
    *before, last = way(loop)
    assert last.totals.selections.min() > 0
    for state, _, _ in before:
        fresh, cached = loop.evaluate(state.population.x), state.population.tilt
        for name, values in fresh._asdict().items():
            if values is not None:
                torch.testing.assert_close(getattr(cached, name), values, rtol=1e-4, atol=1e-4)
    landed = last.state.population
    reward = REWARDS["quadratic"](landed.x.flatten(0, 1)).double().reshape(3, 16)
    torch.testing.assert_close(landed.tilt.reward, reward)
    assert torch.equal(landed.x, landed.tilt.sample)


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


def test_reward_of_a_proposal_that_is_not_a_number_is_named() -> None:
    def reward(x: Tensor) -> Tensor:
        return torch.where(x[:, 0] > 2.5, math.nan, x[:, 0])

    with pytest.raises(FloatingPointError, match=r"the reward is nan for particle \d+ of group \d+ at step \d+"):
        end(FIXED.but(move="pcn").loop(reward))
