"""Published baselines with weights hit closed forms, and their mistakes are caught.

Kernel weights are exact for the discretised base chain. On Gaussian data that chain is known in closed form at any
number of steps; on the mixture the base ODE is followed by the flow map and the noise is weak, so that the error of 40
steps stays far below the statistical one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import partial

import pytest
import torch
from torch import Tensor

import fmtt
from fmtt import baselines, modes
from fmtt.engine import Run
from fmtt.look_ahead import Denoiser
from fmtt.loop import State
from fmtt.models.analytic import GaussianMixture
from fmtt.modes import Mode
from fmtt.noise import Noise
from fmtt.particles import Population
from fmtt.sampler import Sampler
from fmtt.schedules import PowerEpsilon, PowerRamp, RampFrom, ZeroEpsilon
from fmtt.selection import Selection
from fmtt.tilt import Tilt
from fmtt.transport import FlowMapTransport
from fmtt.weights import Jarzynski, Kernel
from tests.analytic.gaussian_chain import reference
from tests.analytic.mutants import stale
from tests.analytic.support import (
    GAUSSIAN,
    MIXTURE_ARGUMENTS,
    REWARDS,
    Setup,
    Truth,
    last,
    worst,
)

# A step of 1/40 is one Runge-Kutta step; the look-ahead is the denoiser, so that no longer jump is made.
SHORT_JUMPS = GaussianMixture(*MIXTURE_ARGUMENTS, steps=1)
WHOLE = RampFrom(1.0)
STEER = partial(baselines.fk_steering, interval=4)
FK = {name: partial(STEER, potential=name) for name in ("difference", "max", "sum")}
BINDING = partial(baselines.das, tempering=0.98)

# scale and ramp by mode: the tilt of DAS is strong enough for tempering to bind, that of FK steering whole at once
GAUSSIAN_RUNS = {
    "tds": (partial(baselines.tds, ess_threshold=0.8), 3.0, PowerRamp()),
    "das": (partial(BINDING, ess_threshold=0.8), 3.0, PowerRamp()),
    **{f"fk {name}": (mode, 1.0, WHOLE) for name, mode in FK.items()},
}
# 3 looks: max and sum take the whole tilt once more at each look, so that many looks make heavy-tailed weights
MIXTURE_RUNS = {
    "tds": (baselines.tds, PowerRamp()),
    "das": (partial(baselines.das, tempering=0.999, ess_threshold=0.95), PowerRamp()),
    **{f"fk {name}": (partial(mode, interval=10), WHOLE) for name, mode in FK.items()},
    "kernel weights, whole tilt at once": (partial(modes.importance, weights="kernel", ess_threshold=0.8), WHOLE),
}


def gaussian_run(mode: Callable[..., Mode], scale: float = 1.0, **changes: object) -> Run:
    arguments = {"steps": 12, "groups": 128, "particles": 128, "chunk": 1_000_000, "look_ahead": Denoiser} | changes
    return fmtt.assemble(GAUSSIAN, REWARDS["quadratic"], mode=mode, scale=scale, **arguments)  # type: ignore[arg-type]


def chain(scale: float = 1.0, **changes: object) -> Truth:
    """What 12 steps of the base chain, weighted by its ends, converge to; no guidance or tempering changes it."""
    return reference(Setup(weights="kernel", scale=scale).but(**changes))


def mixture_run(mode: Callable[..., Mode], reward: str, **changes: object) -> Run:
    return fmtt.assemble(
        SHORT_JUMPS, REWARDS[reward], mode=mode, look_ahead=Denoiser, steps=40, epsilon=PowerEpsilon(0.3),
        transport=FlowMapTransport, groups=128, particles=96, chunk=1_000_000, **changes,
    )  # fmt: skip


@pytest.mark.parametrize("name", GAUSSIAN_RUNS)
def test_weighted_baselines_on_the_gaussian(name: str) -> None:
    mode, scale, ramp = GAUSSIAN_RUNS[name]
    run = gaussian_run(mode, scale, beta=ramp)
    state = run.loop.last()
    assert worst(state.population, chain(scale)) < 4
    assert state.selections.sum() > 0  # weights that resampling has used up are part of what is tested


@pytest.mark.parametrize("reward", REWARDS)
@pytest.mark.parametrize("name", MIXTURE_RUNS)
def test_weighted_baselines_on_the_mixture(name: str, reward: str) -> None:
    mode, ramp = MIXTURE_RUNS[name]
    *way, state = mixture_run(mode, reward, beta=ramp).loop.run()
    assert worst(state.population, Setup(model="mixture", reward=reward).truth()) < 4
    assert (name == "das") == any((earlier.temper < 0.9).all() for earlier in way)


# --- tempering ---------------------------------------------------------------------------------------------------


def in_force(run: Run) -> tuple[Tensor, Tensor, list[State]]:
    """Share of the ramp ``t`` that is let in, and their product, after each step, ``(K + 1, G)``."""
    states = list(run.loop.run())
    shares = torch.stack([state.temper for state in states])
    times = torch.tensor([state.t for state in states], dtype=torch.float64)
    return shares, shares * times[:, None], states


@pytest.mark.parametrize("ess_threshold", [0.5, 0.95])
def test_tempering_binds_and_lets_go(ess_threshold: float) -> None:
    shares, strength, states = in_force(gaussian_run(partial(BINDING, ess_threshold=ess_threshold), 3.0, groups=32))
    assert (shares.min(0).values < 0.8).all()
    assert (shares[-1] == 1).all()
    assert (strength.diff(dim=0) > -1e-12).all()
    assert (shares <= 1).all()  # never above the ramp
    allowed = -torch.tensor(0.98).log() + 1e-6
    for before, after, state in zip(strength, strength[1:], states[1:-1], strict=False):
        grows = after > before + 1e-9  # where it does not, there was nothing to choose
        assert (state.step_discrepancy[grows] <= allowed).all()
        tight = grows & (state.temper < 1)
        assert (state.step_discrepancy[tight] > 0.99 * allowed).all()  # and it grows as far as it may
    assert (states[-1].selections > 0).any() == (ess_threshold == 0.95)


def test_tempering_that_never_binds_is_tds() -> None:
    loose = gaussian_run(partial(baselines.das, tempering=0.01, resampler="systematic"), groups=8)
    for das, tds in zip(loose.loop.run(), gaussian_run(baselines.tds, groups=8).loop.run(), strict=True):
        assert (das.temper == 1).all()
        same(das.population, tds.population)


# --- Feynman-Kac steering ----------------------------------------------------------------------------------------


def same(a: Population, b: Population) -> None:
    for name in ("x", "log_weights", "log_z", "ancestors"):
        assert torch.equal(getattr(a, name), getattr(b, name)), name


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
    for one, other in zip(steered.loop.run(), weighed.loop.run(), strict=True):
        same(one.population, other.population)
    assert one.selections.sum() > 0
    assert steered.meter.reward == weighed.meter.reward
    assert steered.meter.backward == weighed.meter.backward == 0


@pytest.mark.parametrize("potential", FK)
@pytest.mark.parametrize(("steps", "interval", "looks"), [(12, 4, 3), (10, 4, 3), (9, 4, 3), (12, 1, 12), (12, 20, 1)])
def test_reward_is_asked_at_the_looks_and_at_the_end(potential: str, steps: int, interval: int, looks: int) -> None:
    run = gaussian_run(partial(FK[potential], interval=interval), steps=steps, groups=3, particles=5)
    run.loop.last()
    assert run.meter.reward == looks * 15


STEERED_BY_MAX = gaussian_run(FK["max"], 2.0, beta=WHOLE, groups=16).loop


def broken_peaks(sampler: Sampler) -> int:
    """Particles whose peak after the second look, at step 8, is not that of their own path.

    The value is then ``m_4 + m_8`` and the peak ``m_8 = max(m_4, r_8)``, all three carried by the particle.
    """
    *_, state = (state for state in sampler.run() if state.step == 8)
    tilt = state.population.tilt
    assert tilt.peak is not None
    path = torch.maximum(tilt.value - tilt.peak, 2.0 * tilt.reward)
    return int(((path - tilt.peak).abs() > 1e-9).sum())


def test_peaks_follow_their_particles() -> None:
    """No closed form can see a peak left behind: whatever potential steers, the last weight takes it back."""
    sampler = STEERED_BY_MAX
    assert isinstance(sampler, Sampler)
    assert broken_peaks(sampler) == 0
    assert broken_peaks(stale("peak")(sampler)) > 100


# --- the whole tilt from the start -------------------------------------------------------------------------------

AT_ONCE = Setup(ramp=WHOLE, transport=FlowMapTransport, epsilon=PowerEpsilon(0.3), steps=40, ess_threshold=0.9)
AT_ONCE_RUNS = {
    "kernel": AT_ONCE.but(weights="kernel"),
    "jarzynski": AT_ONCE.but(weights="jarzynski"),
    "jarzynski, no noise": AT_ONCE.but(weights="jarzynski", epsilon=ZeroEpsilon(), steps=3),
    "material, no noise": AT_ONCE.but(weights="material", epsilon=ZeroEpsilon(), steps=3),
    "jarzynski, mixture": AT_ONCE.but(
        weights="jarzynski", model="mixture with a fine map", epsilon=ZeroEpsilon(), steps=3, reward="linear"
    ),
}


@pytest.mark.parametrize("name", AT_ONCE_RUNS)
def test_whole_tilt_from_the_start(name: str) -> None:
    setup = AT_ONCE_RUNS[name]
    state = last(setup.sampler())
    assert worst(state.population, setup.truth()) < 4
    assert state.lowest_ess.max() < 0.9


class Unweighted(Jarzynski):
    """Forgets the weights with which particles start."""

    def start(self, value: Tensor) -> Tensor:
        return torch.zeros_like(value)


class UnweightedKernel(Kernel):
    """Forgets the weights with which particles start."""

    def start(self, value: Tensor) -> Tensor:
        return torch.zeros_like(value)


@pytest.mark.parametrize(("name", "wrong"), [("kernel", UnweightedKernel()), ("jarzynski", Unweighted())])
def test_weights_at_the_start_matter(name: str, wrong: Jarzynski | Kernel) -> None:
    sampler = AT_ONCE_RUNS[name].sampler()
    mutant = replace(sampler, dynamics=replace(sampler.dynamics, weights=wrong))
    assert worst(last(mutant).population, AT_ONCE.truth()) > 6


# --- mutants -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class LastStepAltered(Sampler):
    """The log-weights of the last step get ``extra(before, after)`` on top."""

    extra: Callable[[State, State], Tensor] = lambda before, after: torch.zeros_like(after.population.log_weights)

    def step(self, state: State) -> State:
        after = super().step(state)
        if after.step < self.steps:
            return after
        population = after.population
        return replace(
            after, population=replace(population, log_weights=population.log_weights + self.extra(state, after))
        )


def at_the_end(extra: Callable[[State, State], Tensor]) -> Callable[[Sampler], Sampler]:
    def mutate(sampler: Sampler) -> Sampler:
        return LastStepAltered(**{field.name: getattr(sampler, field.name) for field in fields(sampler)}, extra=extra)

    return mutate


def tempered_to_the_end(before: State, after: State) -> Tensor:
    """The last correction dropped: the share stays what it was."""
    return -(1 - before.temper)[:, None] * after.population.tilt.value


def summed_to_the_end(before: State, after: State) -> Tensor:
    """The last value is ``r_1 + ... + r_K`` and not ``r_K``."""
    return before.population.tilt.value


@dataclass(frozen=True)
class WithWholeValue:
    """Increments that count the tilt after a step whole, though only a share of it is let in and subtracted next."""

    right: Selection
    tilt: Tilt
    times: tuple[float, ...]

    def due(self, step: int, steps: int) -> bool:
        return self.right.due(step, steps)

    def __call__(self, population: Population, step: int, steps: int, noise: Noise) -> tuple[Population, Tensor]:
        forgotten = self.tilt.strength(self.times[step]) * population.tilt.reward - population.tilt.value
        return self.right(replace(population, log_weights=population.log_weights + forgotten), step, steps, noise)


def whole_value(sampler: Sampler) -> Sampler:
    return replace(sampler, selection=WithWholeValue(sampler.selection, sampler.dynamics.tilt, sampler.times))


BASELINE_MUTANTS = {
    "tempered to the end": ("das", at_the_end(tempered_to_the_end)),
    "increment without the tempering of the value": ("das", whole_value),
    "sum that stays the sum": ("fk sum", at_the_end(summed_to_the_end)),
    "sum that stays the sum, under another name": ("fk max", at_the_end(summed_to_the_end)),
    "value not permuted": ("fk sum", stale("value")),
    "value of the peaks not permuted": ("fk max", stale("value")),
}


@pytest.mark.parametrize("name", BASELINE_MUTANTS)
def test_mutant_is_detected(name: str) -> None:
    preset, mutate = BASELINE_MUTANTS[name]
    mode, scale, ramp = GAUSSIAN_RUNS[preset]
    sampler = gaussian_run(mode, scale, beta=ramp).loop
    assert isinstance(sampler, Sampler)
    assert worst(mutate(sampler).last().population, chain(scale)) > 6


def test_mutation_that_changes_nothing_passes() -> None:
    """The way the last step is altered is not itself a mistake."""
    mode, scale, ramp = GAUSSIAN_RUNS["das"]
    right = gaussian_run(mode, scale, beta=ramp).loop
    assert isinstance(right, Sampler)
    unchanged = at_the_end(lambda before, after: torch.zeros_like(after.population.log_weights))
    same(unchanged(right).last().population, right.last().population)
