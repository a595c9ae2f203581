"""Published baselines: those with weights hit closed forms, best-of-n and SVDD do what their papers say.

Kernel weights are exact for the discretised base chain. On Gaussian data that chain is known in closed form at any
number of steps; on the mixture the base ODE is followed by the flow map and the noise is weak, so that the error of 40
steps stays far below the statistical one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import cache, partial

import pytest
import torch
from torch import Tensor

import fmtt
from fmtt import baselines, modes
from fmtt.engine import Run, finish
from fmtt.look_ahead import Denoiser
from fmtt.loop import State
from fmtt.models.analytic import GaussianMixture
from fmtt.modes import Mode
from fmtt.noise import Noise
from fmtt.particles import Population
from fmtt.sampler import Sampler
from fmtt.schedules import PowerEpsilon, PowerRamp, RampFrom, ZeroEpsilon
from fmtt.selection import ChooseAmongDuplicates, Selection
from fmtt.tilt import Tilt
from fmtt.transport import Euler, FlowMapTransport
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
    standardised,
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


# --- best of n ---------------------------------------------------------------------------------------------------


def largest_of(n: int) -> float:
    """The mean of the largest of n standard normal numbers, by quadrature."""
    x = torch.linspace(-9, 9, 20_001, dtype=torch.float64)
    density = torch.exp(-(x**2) / 2) / (2 * torch.pi) ** 0.5
    return float(torch.trapezoid(x * n * density * torch.special.ndtr(x) ** (n - 1), x))


PRESETS = {
    "flow map": {"epsilon": ZeroEpsilon(), "transport": FlowMapTransport, "steps": 4},
    "ODE": {"epsilon": ZeroEpsilon(), "transport": Euler, "steps": 12},
    "SDE": {"epsilon": PowerEpsilon(), "transport": Euler, "steps": 12},
}


def best_rewards(preset: str, n: int, mode: Callable[..., Mode] = baselines.best_of_n) -> tuple[Run, Tensor]:
    """Rewards of the particles returned, ``(G,)``."""
    run = fmtt.assemble(
        GAUSSIAN, REWARDS["linear"], mode=mode, groups=1024, particles=n, chunk=1_000_000, **PRESETS[preset]
    )  # type: ignore[arg-type]
    result = finish(run, run.loop.last())
    return run, result.rewards.gather(1, result.selected[:, None])[:, 0]


def expected_best(preset: str, n: int) -> float:
    """A linear reward of a Gaussian is a Gaussian; that of the finite chain is known, too."""
    truth = reference(Setup(weights="kernel", scale=0.0).but(**PRESETS[preset]))
    direction = torch.tensor(REWARDS["linear"].direction, dtype=torch.float64)
    variance = direction.square() @ (truth.second_moment - truth.mean.square())
    return float(direction @ truth.mean + variance.sqrt() * largest_of(n))


@pytest.mark.parametrize("n", [1, 4, 16])
@pytest.mark.parametrize("preset", PRESETS)
def test_best_of_n_is_the_largest_of_n(preset: str, n: int) -> None:
    run, rewards = best_rewards(preset, n)
    assert abs(standardised(rewards - expected_best(preset, n))) < 4
    assert run.meter.reward == 1024 * n
    assert run.meter.backward == 0


def test_flow_map_makes_samples_of_the_model_itself() -> None:
    law = GAUSSIAN.law
    assert expected_best("flow map", 1) == pytest.approx(float(law.mean @ torch.tensor([0.7, -0.5]).double()))
    assert abs(expected_best("ODE", 16) - expected_best("flow map", 16)) > 0.02  # 12 steps of Euler do not quite


@pytest.mark.parametrize("preset", PRESETS)
def test_a_draw_is_not_the_best(preset: str) -> None:
    assert abs(standardised(best_rewards(preset, 16, modes.base)[1] - expected_best(preset, 16))) > 6


# --- SVDD and beam -----------------------------------------------------------------------------------------------

DUPLICATES, FAMILIES = 4, 2
PROPOSALS = DUPLICATES * FAMILIES


def svdd_run(groups: int, greedy: bool = False, mode: Callable[..., Mode] | None = None) -> Run:
    return fmtt.assemble(
        GAUSSIAN, REWARDS["quadratic"], mode=mode or partial(baselines.svdd, duplicates=DUPLICATES, greedy=greedy),
        look_ahead=Denoiser, beta=WHOLE, steps=6, groups=groups, particles=PROPOSALS, chunk=1_000_000, scale=1.5,
    )  # fmt: skip


@cache
def proposals() -> tuple[Tensor, Tensor]:
    """Where particles are after one step, ``(F, 4, 2)``, and their values, by families of 1500 groups."""
    run = svdd_run(1500, mode=modes.base)
    assert isinstance(run.loop, Sampler)
    state = run.loop.step(run.loop.start())
    value = run.loop.dynamics.tilt.evaluate(state.population.x, state.t, gradient=False).value
    return state.population.x.reshape(-1, DUPLICATES, 2), value.reshape(-1, DUPLICATES)


def survivors(greedy: bool) -> Tensor:
    """Which proposal of each family the first selection of a run has kept, ``(F,)``."""
    run = svdd_run(1500, greedy)
    families = run.loop.step(run.loop.start()).population.x.reshape(-1, DUPLICATES, 2)
    kept = (families[:, :, None] == proposals()[0][:, None]).all(-1)  # by the place it stands at
    assert (kept.sum(-1) == 1).all()
    assert (kept == kept[:, :1]).all()  # the whole family is made of one
    return kept[:, 0].int().argmax(1)


def surplus(chosen: Tensor, weights: Tensor) -> float:
    """Value of the chosen above its mean under ``weights (F, 4)``, in standard errors over families."""
    value = proposals()[1]
    return standardised(value.gather(1, chosen[:, None])[:, 0] - (weights * value).sum(1))


def test_survivor_of_a_family_is_drawn_by_its_value() -> None:
    weights = torch.softmax(proposals()[1], dim=1)
    chosen = survivors(greedy=False)
    assert abs(surplus(chosen, weights)) < 4
    for slot in range(DUPLICATES):
        assert abs(standardised((chosen == slot).double() - weights[:, slot])) < 4
    uniform = torch.full_like(weights, 1 / DUPLICATES)
    doubled = torch.softmax(2 * proposals()[1], dim=1)
    for wrong in (uniform, doubled):
        assert abs(surplus(chosen, wrong)) > 6


def test_greedy_survivor_is_the_best() -> None:
    best = proposals()[1].argmax(1)
    assert torch.equal(survivors(greedy=True), best)
    assert abs(surplus(best, torch.softmax(proposals()[1], dim=1))) > 6


@pytest.mark.parametrize("greedy", [False, True])
def test_families_never_mix(greedy: bool) -> None:
    run = svdd_run(64, greedy)
    family = torch.arange(PROPOSALS) // DUPLICATES
    for state in list(run.loop.run())[1:]:
        ancestors = state.population.ancestors
        assert (ancestors // DUPLICATES == family).all()
        assert (ancestors.reshape(-1, DUPLICATES) == ancestors.reshape(-1, DUPLICATES)[:, :1]).all()  # one survivor
    result = finish(run, state)
    best = result.rewards.max(1).values
    assert torch.equal(result.rewards.gather(1, result.selected[:, None])[:, 0], best)


def test_families_do_not_compete() -> None:
    """However much worse the second family is, it lives on, and its survivor is drawn by its own values."""
    value = torch.tensor([50.0, 51.0, 52.0, 53.0, 0.0, 1.0, -1.0, 0.5], dtype=torch.float64)
    groups = 20_000
    sampler = svdd_run(2).loop
    assert isinstance(sampler, Sampler)
    start = sampler.start().population
    population = Population.start(torch.zeros(groups, PROPOSALS, 2), start.tilt)
    tilt = start.tilt._replace(
        reward=value.expand(groups, -1), value=value.expand(groups, -1), gradient=None, sample=None, peak=None
    )
    population = replace(population, tilt=tilt)
    after, where = ChooseAmongDuplicates(DUPLICATES, greedy=False)(population, 3, 6, Noise(5, tuple(range(groups))))
    assert where.all()
    first = after.ancestors.reshape(groups, FAMILIES, DUPLICATES)[..., 0]
    for family in range(FAMILIES):
        members = slice(family * DUPLICATES, (family + 1) * DUPLICATES)
        share = torch.bincount(first[:, family], minlength=PROPOSALS)[members].double() / groups
        weights = torch.softmax(value[members], dim=0)
        assert ((share - weights) / (weights * (1 - weights) / groups).sqrt()).abs().max() < 4


def test_particles_that_are_no_multiple_of_the_duplicates_are_refused() -> None:
    with pytest.raises(ValueError, match=r"population\.particles=10: must be a multiple of mode\.duplicates=3"):
        fmtt.assemble(GAUSSIAN, REWARDS["linear"], mode=partial(baselines.svdd, duplicates=3), particles=10)
    fmtt.assemble(GAUSSIAN, REWARDS["linear"], mode=partial(baselines.svdd, duplicates=5), particles=10)


@pytest.mark.parametrize("mode", [baselines.beam, baselines.svdd])
def test_clones_without_noise_are_refused(mode: Callable[..., Mode]) -> None:
    with pytest.raises(ValueError, match=r"sampler\.epsilon: .*without noise; use linear"):
        fmtt.assemble(GAUSSIAN, REWARDS["linear"], mode=mode, epsilon=ZeroEpsilon())
    fmtt.assemble(GAUSSIAN, REWARDS["linear"], mode=mode)
