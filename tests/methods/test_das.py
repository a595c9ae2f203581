"""Tempering of DAS lets in as much of the tilt as the weights bear, and mistakes in it are caught."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import pytest
import torch
from torch import Tensor

from fmtt.api import Run
from fmtt.flow.noise import Noise
from fmtt.methods import baselines
from fmtt.methods.loop import State
from fmtt.methods.trajectory import Trajectory
from fmtt.smc.population import Population
from fmtt.smc.selection import Replaces, Selection
from tests.methods.states import Reached, way
from tests.methods.weighted_baselines import BINDING, at_the_end, found, gaussian_run, preset, same


def in_force(run: Run) -> tuple[Tensor, Tensor, list[Reached]]:
    """Share of the ramp ``t`` that is let in, and their product, after each step, ``(K + 1, G)``."""
    whole = way(run.loop)
    shares = torch.stack([reached.state.temperature for reached in whole])
    assert torch.equal(shares, torch.stack([reached.info.numbers["temperature"] for reached in whole]))
    times = torch.tensor([reached.state.t for reached in whole], dtype=torch.float64)
    return shares, shares * times[:, None], whole


@pytest.mark.parametrize("ess_threshold", [0.5, 0.95])
def test_tempering_binds_and_lets_go(ess_threshold: float) -> None:
    shares, strength, whole = in_force(gaussian_run(partial(BINDING, ess_threshold=ess_threshold), 3.0, groups=32))
    assert (shares.min(0).values < 0.8).all()
    assert (shares[-1] == 1).all()
    assert (strength.diff(dim=0) > -1e-12).all()
    assert (shares <= 1).all()  # never above the ramp
    allowed = -torch.tensor(0.98).log() + 1e-6
    for before, after, (state, _, totals) in zip(strength, strength[1:], whole[1:-1], strict=False):
        grows = after > before + 1e-9  # where it does not, there was nothing to choose
        assert (totals.step_discrepancy[grows] <= allowed).all()
        tight = grows & (state.temperature < 1)
        assert (totals.step_discrepancy[tight] > 0.99 * allowed).all()  # and it grows as far as it may
    assert (whole[-1].totals.selections > 0).any() == (ess_threshold == 0.95)


def test_tempering_that_never_binds_is_tds() -> None:
    loose = gaussian_run(partial(baselines.das, tempering=0.01, resampler="systematic"), groups=8)
    for (das, _), (tds, _) in zip(loose.loop.run(), gaussian_run(baselines.tds, groups=8).loop.run(), strict=True):
        assert (das.temperature == 1).all()
        assert same(das.population, tds.population)


# --- mutants -----------------------------------------------------------------------------------------------------


def tempered_to_the_end(before: State, after: State) -> Tensor:
    """The last correction dropped: the share stays what it was."""
    return -(1 - before.temperature)[:, None] * after.population.tilt.value


@dataclass(frozen=True)
class WithWholeValue(Replaces):
    """Increments that count the tilt after a step whole, though only a share of it is let in and subtracted next."""

    right: Selection
    block, min_particles, multinomial = 1, 1, False

    def due(self, step: int, steps: int) -> bool:
        return self.right.due(step, steps)

    def __call__(self, population: Population, step: int, steps: int, noise: Noise) -> tuple[Population, Tensor]:
        forgotten = population.tilt.value - population.path.value
        return self.right(replace(population, log_weights=population.log_weights + forgotten), step, steps, noise)


def whole_value(loop: Trajectory) -> Trajectory:
    return replace(loop, selection=WithWholeValue(loop.selection))


MUTANTS = {
    "tempered to the end": at_the_end(tempered_to_the_end),
    "increment without the tempering of the value": whole_value,
}


@pytest.mark.parametrize("name", MUTANTS)
def test_mutant_is_detected(name: str) -> None:
    assert found("das", MUTANTS[name]) > 6


def test_mutation_that_changes_nothing_passes() -> None:
    """The way the last step is altered is not itself a mistake."""
    right = preset("das")
    unchanged = at_the_end(lambda before, after: torch.zeros_like(after.population.log_weights))
    assert same(unchanged(right).last().population, right.last().population)
