"""Feynman-Kac steering is importance sampling without gradient, looks when it must, and keeps each path's peak."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import Tensor

from fmtt.flow.schedules import PowerRamp
from fmtt.methods import baselines
from fmtt.methods import presets as modes
from fmtt.methods.loop import State
from fmtt.methods.trajectory import Trajectory
from tests.methods.states import way
from tests.methods.weighted_baselines import FK, WHOLE, at_the_end, found, gaussian_run, same
from tests.mutants import Mutation, selection

NEVER = (0.999, 1.0)  # no step starts here


@pytest.mark.parametrize("ramp", [PowerRamp(), WHOLE])
@pytest.mark.parametrize(
    ("steering", "weighing"),
    [
        ({"interval": 1, "ess_threshold": 0.8, "resampler": "ssp"}, {"ess_threshold": 0.8, "resampler": "ssp"}),
        ({"interval": 4}, {"resample_at": (4, 8), "resampler": "multinomial"}),
        ({"interval": 5}, {"resample_at": (5, 10), "resampler": "multinomial"}),
    ],
    ids=["adaptive", "every fourth step", "every fifth step"],
)
def test_steering_by_differences_is_importance_sampling_without_gradient(ramp, steering, weighing) -> None:
    steered = gaussian_run(partial(baselines.fk_steering, **steering), 2.0, beta=ramp, groups=8)
    plain = partial(modes.importance, weights="kernel", window=NEVER, **weighing)
    weighed = gaussian_run(plain, 2.0, beta=ramp, groups=8)
    for one, other in zip(way(steered.loop), way(weighed.loop), strict=True):
        assert same(one.state.population, other.state.population)
    assert one.totals.selections.sum() > 0
    assert steered.meter.reward == weighed.meter.reward
    assert steered.meter.backward == weighed.meter.backward == 0


@pytest.mark.parametrize("potential", FK)
@pytest.mark.parametrize(("steps", "interval", "looks"), [(12, 4, 3), (10, 4, 3), (9, 4, 3), (12, 1, 12), (12, 20, 1)])
def test_reward_is_asked_at_the_looks_and_at_the_end(potential: str, steps: int, interval: int, looks: int) -> None:
    run = gaussian_run(partial(FK[potential], interval=interval), steps=steps, groups=3, particles=5)
    run.loop.last()
    assert run.meter.reward == looks * 15


STEERED_BY_MAX = gaussian_run(FK["max"], 2.0, beta=WHOLE, groups=16).loop


def broken_peaks(loop: Trajectory) -> int:
    """Particles whose peak after the second look, at step 8, is not that of their own path.

    The value is then ``m_4 + m_8`` and the peak ``m_8 = max(m_4, r_8)``, all three carried by the particle.
    """
    (population,) = (state.population for state, _ in loop.run() if state.step == 8)
    value, peak = population.path
    assert peak is not None
    expected = torch.maximum(value - peak, 2.0 * population.tilt.reward)
    return int(((expected - peak).abs() > 1e-9).sum())


def stale_on_path(name: str) -> Mutation:
    """One value of the paths not permuted."""
    return selection(
        lambda before, after, where: replace(after, path=after.path._replace(**{name: getattr(before.path, name)}))
    )


def test_peaks_follow_their_particles() -> None:
    """No closed form can see a peak left behind: whatever potential steers, the last weight takes it back."""
    loop = STEERED_BY_MAX
    assert isinstance(loop, Trajectory)
    assert broken_peaks(loop) == 0
    assert broken_peaks(stale_on_path("peak")(loop)) > 100


# --- mutants -----------------------------------------------------------------------------------------------------


def summed_to_the_end(before: State, after: State) -> Tensor:
    """The last value is ``r_1 + ... + r_K`` and not ``r_K``."""
    return before.population.path.value


MUTANTS = {
    "sum that stays the sum": ("fk sum", at_the_end(summed_to_the_end)),
    "sum that stays the sum, under another name": ("fk max", at_the_end(summed_to_the_end)),
    "value not permuted": ("fk sum", stale_on_path("value")),
    "value of the peaks not permuted": ("fk max", stale_on_path("value")),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_mutant_is_detected(name: str) -> None:
    preset, mutate = MUTANTS[name]
    assert found(preset, mutate) > 6
