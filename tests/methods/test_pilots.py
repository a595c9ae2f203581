"""Schedules that a pilot finds: equal thermodynamic length, the right law, the pilot's cost in the ledger."""

from dataclasses import replace
from itertools import pairwise

import pytest
import torch

import fmtt
from fmtt.flow.schedules import EarlyRamp
from fmtt.methods import presets as modes
from fmtt.methods.pilots import GeodesicGrid, GeodesicRamp, TabulatedRamp, interpolate, pilot_lengths
from fmtt.rewards import Quadratic
from tests.support import GAUSSIAN, Setup, ended, last, worst

# A sharp reward, and a ramp that is over at t = 0.3: the uniform grid wastes two thirds of its steps.
HARD = Setup(weights="jarzynski", scale=4.0, ramp=EarlyRamp(0.3), steps=40, groups=32, particles=64)
STEEP = Setup(weights="jarzynski", scale=8.0, steps=40, groups=32, particles=64)


def unevenness(lengths: list[float]) -> float:
    """Largest length of a step over the mean."""
    return max(lengths) * len(lengths) / sum(lengths)


def test_grid_equalises_the_length_of_steps() -> None:
    plain = HARD.loop()
    tuned = GeodesicGrid(particles=256, rounds=2, uniform=0.05).tune(plain)
    assert tuned.times[0] == 0 and tuned.times[-1] == 1
    assert len(tuned.times) == len(plain.times)
    assert all(then > now for now, then in pairwise(tuned.times))
    before, after = (unevenness(pilot_lengths(loop, 512)) for loop in (plain, tuned))
    assert before > 3
    assert after < 1.7
    assert ended(tuned)[1].discrepancy.mean() < 0.6 * ended(plain)[1].discrepancy.mean()


def test_ramp_equalises_the_length_of_steps() -> None:
    plain = STEEP.loop()
    tuned = GeodesicRamp(particles=256, rounds=2).tune(plain)
    ramp = tuned.dynamics.tilt.ramp
    assert ramp(0.0) == 0 and ramp(1.0) == pytest.approx(1)
    assert all(ramp(then) > ramp(now) for now, then in pairwise(plain.times))
    before, after = (unevenness(pilot_lengths(loop, 512)) for loop in (plain, tuned))
    assert before > 2
    assert after < 1.6
    assert ended(tuned)[1].discrepancy.mean() < 0.8 * ended(plain)[1].discrepancy.mean()


@pytest.mark.parametrize("schedule", [GeodesicGrid(), GeodesicRamp()], ids=["grid", "ramp"])
def test_tuned_loop_samples_the_tilted_law(schedule) -> None:
    setup = Setup(weights="jarzynski", steps=120, groups=64, particles=64)
    assert worst(last(schedule.tune(setup.loop())).population, setup.truth()) < 4


@pytest.mark.parametrize("schedule", [GeodesicGrid(particles=7, rounds=2), GeodesicRamp(particles=7, rounds=2)])
def test_pilots_are_counted_and_repeat_themselves(schedule) -> None:
    name = "grid" if isinstance(schedule, GeodesicGrid) else "beta"
    runs = [
        fmtt.assemble(GAUSSIAN, Quadratic((1.0, 0.0)), steps=5, groups=2, particles=3, **{name: schedule})
        for _ in range(2)
    ]
    assert [run.meter.forward for run in runs] == [0, 0]
    tuned = [run.tuned() for run in runs]
    per_particle = 5 * 2  # a look and a velocity in each step
    assert tuned[0].meter.forward == 2 * 7 * per_particle
    assert tuned[0].pending == ()
    assert tuned[0].loop.times == tuned[1].loop.times
    states = [last(run.loop) for run in tuned]
    assert torch.equal(states[0].population.x, states[1].population.x)


def test_sample_runs_the_pilot() -> None:
    """The one-call interface has no way to forget it."""
    run = fmtt.assemble(GAUSSIAN, Quadratic((1.0, 0.0)), steps=5, particles=3, mode=modes.importance)
    assert run.tuned().loop is run.loop


def test_where_nothing_happens_the_grid_is_uniform() -> None:
    flat = replace(HARD, scale=0.0).loop()
    assert GeodesicGrid().tune(flat).times == pytest.approx(flat.times)


def test_interpolation() -> None:
    assert [interpolate(x, (0, 1, 3), (0, 2, 3)) for x in (0, 0.5, 1, 2, 3)] == [0, 1, 2, 2.5, 3]
    assert TabulatedRamp((0.0, 0.5, 1.0), (0.0, 0.8, 1.0))(0.75) == pytest.approx(0.9)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GeodesicGrid(particles=1), "sampler.grid.particles"),
        (lambda: GeodesicGrid(rounds=0), "sampler.grid.rounds"),
        (lambda: GeodesicGrid(uniform=0), "sampler.grid.uniform=0: must be positive"),
        (lambda: GeodesicGrid(uniform=1.5), "sampler.grid.uniform"),
        (lambda: GeodesicRamp(widest=0.5), "sampler.beta.widest=0.5: must be at least 1"),
        (lambda: GeodesicRamp(widest=float("nan")), "sampler.beta.widest=nan"),
    ],
)
def test_impossible_settings(make, message: str) -> None:
    with pytest.raises(ValueError, match=message.replace(".", r"\.")):
        make()
