"""Annealed SMC in the space of the noise: temperatures and strides that adapt or are given, and what is refused."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import pytest
import torch

from fmtt import api as engine
from fmtt.flow.schedules import PowerEpsilon
from fmtt.methods.noise_moves import MOVES
from fmtt.methods.noise_smc import noise_smc
from fmtt.tilt.look_ahead import Denoiser, NoLookAhead
from tests.methods.noise_space import ADAPTIVE, EACH_MOVE, FIXED
from tests.methods.states import differing, end_of, states, way
from tests.support import GAUSSIAN, REWARDS

# --- temperatures and strides ------------------------------------------------------------------------------------


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.9])
def test_temperatures_rise_to_one_as_far_as_the_weights_bear(threshold: float) -> None:
    setup = ADAPTIVE.but(groups=16, steps=40, scale=20.0, ess_threshold=threshold, seed=51)
    whole = way(setup.loop())
    tempers = [reached.state.temperature for reached in whole]
    assert (tempers[0] == 0).all()
    assert (tempers[-1] == 1).all()
    for before, after, (state, info, _) in zip(tempers, tempers[1:], whole[1:], strict=False):
        assert (after >= before).all()
        climbing = (after < 1) & (before < 1)
        assert (after[climbing] > before[climbing]).all()
        assert (info.ess[climbing] < threshold + 1e-6).all()  # it went as far as it could
        assert info.selected[after < 1].all()  # else it may have stopped just short of the threshold for good
        if state.step < 40:
            assert (info.ess >= threshold - 1e-9).all()
    assert tempers[1].max() < 1


def test_weights_that_bear_next_to_nothing_still_let_the_temperatures_rise() -> None:
    whole = way(ADAPTIVE.but(groups=16, steps=30, scale=1e5, seed=51).loop())
    assert all(info.selected[state.temperature < 1].all() for state, info, _ in whole[1:])
    assert whole[1].state.temperature.max() < 1


def test_temperatures_reach_one_in_too_few_sweeps() -> None:
    _, first, last = way(ADAPTIVE.but(groups=4, steps=2, scale=50.0).loop())
    assert first.state.temperature.max() < 1
    assert (last.state.temperature == 1).all()
    assert last.info.ess.max() < 0.5
    assert not last.info.selected.any()


def test_nothing_adapts_where_all_is_given() -> None:
    found = states(FIXED.but(groups=2).loop())
    assert [state.temperature.unique().tolist() for state in found] == [[0.0], *([t] for t in FIXED.temperatures)]
    assert all(state.stride.unique().tolist() == [0.5] for state in found)


@EACH_MOVE
def test_acceptance_approaches_the_target(move: str) -> None:
    # from the noise itself: a reference that fits would make the longest moves good enough
    setup = ADAPTIVE.but(move=move, reference="prior", groups=16, steps=50, scale=30.0, stride=0.02, seed=52)
    whole = way(setup.loop())
    late = torch.stack([state.acceptance for state, _, _ in whole[-20:]]).mean(0)
    assert (late - MOVES[move].target).abs().max() < 0.05
    assert (whole[1].state.acceptance > 0.9).all()  # it had a long way to go
    for state, info, _ in whole[1:]:
        assert info.numbers.keys() == {"stride", "acceptance", "temperature"}
        assert all(torch.equal(values, getattr(state, name)) for name, values in info.numbers.items())
    strides = torch.stack([state.stride for state, _, _ in whole])
    assert (strides > 1e-3).all()
    assert (strides <= 1).all()


def test_epsilon_is_of_no_account() -> None:
    one, other = (end_of(FIXED.but(groups=2, epsilon=PowerEpsilon(c)).loop()) for c in (1.0, 3.0))
    assert differing(one, other, exactly=True) == []


# --- refusals --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("look_ahead", [NoLookAhead, Denoiser])
def test_what_generates_nothing_is_refused(look_ahead: Callable) -> None:
    with pytest.raises(ValueError, match=f"mode=noise_smc: .*{look_ahead.__name__}.*use the look-ahead flowmap1"):
        engine.sample(GAUSSIAN, REWARDS["linear"], look_ahead=look_ahead, mode=noise_smc, steps=2)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"move": "gibbs"}, "mode.move=gibbs: must be one of auto, pcn, pcnl, hmc"),
        ({"moves": 0}, "mode.moves=0: must be a whole number of at least 1"),
        ({"ess_threshold": 0.0}, "mode.ess_threshold=0.0: must lie between 0 and 1"),
        ({"ess_threshold": 1.0}, "mode.ess_threshold=1.0: must lie between 0 and 1"),
        ({"ess_threshold": 1.5}, r"mode.ess_threshold=1.5: must lie in \[0, 1\]"),
        ({"reference": "wide"}, "mode.reference=wide: must be one of fitted, prior"),
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
