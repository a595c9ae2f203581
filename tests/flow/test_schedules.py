"""Grids, noise schedules and ramps."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmtt.flow.schedules import (
    ConstantEpsilon,
    EarlyRamp,
    EarlyStopGrid,
    PowerEpsilon,
    PowerGrid,
    PowerRamp,
    RegularisedEpsilon,
    ShiftedGrid,
    ZeroEpsilon,
)

GRIDS = st.one_of(
    st.builds(PowerGrid, st.floats(0.5, 3)),
    st.builds(ShiftedGrid, st.floats(-2, 2)),
    st.builds(EarlyStopGrid, st.floats(0.01, 1), st.integers(1, 5)),
)
RAMPS = (PowerRamp(1.0), PowerRamp(2.0), PowerRamp(0.5), EarlyRamp(0.5), EarlyRamp(1.0))
EPSILONS = (ZeroEpsilon(), ConstantEpsilon(0.7), PowerEpsilon(2.0), RegularisedEpsilon(0.1))


@given(GRIDS, st.integers(1, 60))
def test_grid_rises_strictly_from_zero_to_one(grid, steps: int) -> None:
    times = grid.times(steps)
    assert len(times) == steps + 1
    assert times[0] == 0
    assert times[-1] == 1
    assert all(now < then for now, then in itertools.pairwise(times))


def test_grids_are_what_they_say() -> None:
    assert PowerGrid().times(4) == (0, 0.25, 0.5, 0.75, 1)
    assert PowerGrid(2.0).times(2) == (0, 0.75, 1)
    assert ShiftedGrid(0.0).times(4) == pytest.approx((0, 0.25, 0.5, 0.75, 1))
    shift = math.exp(1.15)
    assert ShiftedGrid(1.15).times(2)[1] == pytest.approx(1 - shift / (shift + 1))  # finer toward the noise
    assert EarlyStopGrid(0.25, 2).times(4) == (0, 0.125, 0.25, 0.625, 1)
    assert EarlyStopGrid(0.25, 3).times(2) == (0, 0.25, 1)  # fewer steps than it should leave for the end
    assert EarlyStopGrid(1.0, 2).times(4) == PowerGrid().times(4)


@pytest.mark.parametrize("grid", [PowerGrid(), ShiftedGrid(), EarlyStopGrid()], ids=str)
@pytest.mark.parametrize("steps", [0, -1, 2.5, True])
def test_bad_numbers_of_steps_are_refused(grid, steps) -> None:
    with pytest.raises(ValueError, match=f"sampler.steps={steps}: must be a whole number of at least 1"):
        grid.times(steps)


@pytest.mark.parametrize("epsilon", EPSILONS, ids=str)
def test_epsilon_is_not_negative_and_says_when_it_vanishes(epsilon) -> None:
    values = [epsilon(k / 50) for k in range(51)]
    assert min(values) >= 0
    assert epsilon.vanishes == (max(values) == 0)


def test_epsilons_are_what_they_say() -> None:
    assert ConstantEpsilon(0.7)(0.3) == 0.7
    assert PowerEpsilon(2.0)(0.25) == 1.5
    assert RegularisedEpsilon(0.1)(0.4) == pytest.approx(1.2)
    assert PowerEpsilon(0.0).vanishes
    assert ConstantEpsilon(0.0).vanishes
    assert all(epsilon(1.0) == 0 for epsilon in (PowerEpsilon(), RegularisedEpsilon()))


@pytest.mark.parametrize("ramp", RAMPS, ids=str)
def test_ramp_rises_from_zero_to_one(ramp) -> None:
    values = [ramp(k / 50) for k in range(51)]
    assert values[0] == 0
    assert values[-1] == 1
    assert values == sorted(values)


def test_ramps_are_what_they_say() -> None:
    assert PowerRamp(2.0)(0.5) == 0.25
    assert EarlyRamp(0.5)(0.25) == 0.5
    assert EarlyRamp(0.5)(0.75) == 1


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: PowerGrid(0.0), "sampler.grid.power=0.0: must be positive"),
        (lambda: ShiftedGrid(float("nan")), "sampler.grid.mu=nan: must be a finite number"),
        (lambda: EarlyStopGrid(0.0), "sampler.grid.end=0: must be positive and at most 1"),
        (lambda: EarlyStopGrid(1.5), r"sampler.grid.end=1.5: must lie in \[0, 1\]"),
        (lambda: EarlyStopGrid(0.5, 0), "sampler.grid.rest=0: must be a whole number of at least 1"),
        (lambda: ConstantEpsilon(-1.0), "sampler.epsilon.c=-1.0: must be at least 0"),
        (lambda: PowerEpsilon(float("inf")), "sampler.epsilon.c=inf: must be a finite number"),
        (lambda: RegularisedEpsilon(0.0), "sampler.epsilon.h=0.0: must be positive"),
        (lambda: PowerRamp(-1.0), "sampler.beta.power=-1.0: must be positive"),
        (lambda: EarlyRamp(0.0), "sampler.beta.end=0"),
        (lambda: EarlyRamp(1.5), r"sampler.beta.end=1.5: must lie in \[0, 1\]"),
    ],
)
def test_bad_parameters_are_named(build, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        build()
