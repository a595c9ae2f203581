"""The loop: a run depends on its seed and on nothing else."""

import itertools
from dataclasses import replace

import pytest
import torch

from fmtt.flow.noise import Noise
from fmtt.flow.schedules import ConstantEpsilon
from fmtt.smc.diagnostics import incremental_discrepancy
from tests.methods.states import differing, end_of, states, way
from tests.support import Setup, last

SETUPS = {
    "flow map": Setup(model="mixture", look_ahead="flowmap1", weights="jarzynski"),
    "denoiser": Setup(model="mixture", look_ahead="denoiser", weights="kernel", epsilon=ConstantEpsilon()),
    "material": Setup(model="gaussian", look_ahead="denoiser", weights="material", resampler="ssp"),
}
EACH = pytest.mark.parametrize("name", SETUPS)


def setup(name: str) -> Setup:
    return SETUPS[name].but(groups=3, particles=16, scale=3.0, seed=11)


@EACH
def test_same_seed_gives_the_same_bits(name: str) -> None:
    assert differing(end_of(setup(name).loop()), end_of(setup(name).loop()), exactly=True) == []
    other = last(setup(name).but(seed=12).loop())
    assert not torch.equal(other.population.x, last(setup(name).loop()).population.x)


@EACH
@pytest.mark.parametrize("chunk", [1, 7, 48])
def test_chunks_do_not_matter(name: str, chunk: int) -> None:
    assert differing(end_of(setup(name).loop()), end_of(setup(name).but(chunk=chunk).loop()), exactly=False) == []


@EACH
def test_groups_run_together_or_apart(name: str) -> None:
    loop = setup(name).loop()
    together = end_of(loop)
    assert together.totals.selections.min() > 0
    for group in range(3):
        apart = end_of(replace(loop, noise=Noise(11, (group,))))
        assert differing(together, apart, exactly=False, group=group) == []


@EACH
@pytest.mark.parametrize("step", [0, 1, 6, 11, 12])
def test_run_goes_on_from_any_state(name: str, step: int) -> None:
    whole = way(setup(name).loop())
    resumed = way(setup(name).loop(), whole[step])
    assert [reached.state.step for reached in resumed] == list(range(step, 13))
    assert differing(whole[-1], resumed[-1], exactly=True) == []
    assert [state.step for state, _ in setup(name).loop().run(whole[step].state)] == list(range(step + 1, 13))


def test_states_count_steps_and_time() -> None:
    setup_ = setup("flow map")
    found = states(setup_.loop())
    assert [state.step for state in found] == list(range(13))
    assert tuple(state.t for state in found) == setup_.times
    assert found[-1].population.x.shape == (3, 16, 2)


def test_start_is_standard_normal_with_equal_weights() -> None:
    state, _ = setup("denoiser").but(groups=40, particles=500).loop().start()
    x = state.population.x.double().flatten(0, 1)
    count = len(x)
    assert (x.mean(0).abs() * count**0.5 < 4).all()
    assert ((x.var(0) - 1).abs() * (count / 2) ** 0.5 < 4).all()
    assert (state.population.log_weights == 0).all()
    assert (state.population.tilt.value == 0).all()


def test_diagnostics_are_those_before_selection_and_add_up() -> None:
    """Followed by hand in a run without resampling, where the weights of a step are those of the state before."""
    whole = way(setup("flow map").but(ess_threshold=0.0).loop())
    total, length = torch.zeros(3).double(), torch.zeros(3).double()
    for before, after in itertools.pairwise(whole):
        log_weights = before.state.population.log_weights
        increment = after.state.population.log_weights - log_weights
        d = incremental_discrepancy(log_weights, increment)
        total, length = total + d, length + d.sqrt()
        torch.testing.assert_close(after.info.ess, after.state.population.ess)
        assert torch.equal(after.info.log_weights, log_weights)
        torch.testing.assert_close(after.info.increment, increment)
        torch.testing.assert_close(after.totals.step_discrepancy, d)
    end = whole[-1].totals
    torch.testing.assert_close(end.discrepancy, total)
    torch.testing.assert_close(end.length, length)
    torch.testing.assert_close(end.lowest_ess, torch.stack([reached.info.ess for reached in whole]).min(0).values)
    assert (total > 0).all()


def test_selections_are_counted_and_none_follows_the_last_step() -> None:
    whole = way(setup("flow map").but(ess_threshold=1.0).loop())
    assert [bool(reached.info.selected.all()) for reached in whole] == [False] + [True] * 11 + [False]
    assert whole[-1].totals.selections.tolist() == [11] * 3
    assert whole[-1].state.population.log_weights.std() > 0


def test_one_step_is_a_run() -> None:
    state = last(setup("denoiser").but(steps=1).loop())
    assert state.t == 1
    assert state.population.log_evidence.isfinite().all()
