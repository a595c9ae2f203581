"""Published baselines with weights, and the whole tilt from the start that some of them take, hit closed forms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from functools import partial

import pytest
import torch

import fmtt
from fmtt.api import Run
from fmtt.flow.schedules import PowerEpsilon, PowerRamp, ZeroEpsilon
from fmtt.methods import baselines
from fmtt.methods import presets as modes
from fmtt.methods.composition import Composition
from fmtt.methods.loop import Info, State
from fmtt.methods.trajectory import Trajectory
from fmtt.models.analytic import GaussianMixture
from fmtt.step.transport import FlowMapTransport
from fmtt.tilt.look_ahead import Denoiser
from tests.methods.states import states
from tests.methods.weighted_baselines import FK, GAUSSIAN_RUNS, WHOLE, chain, gaussian_run
from tests.support import MIXTURE_ARGUMENTS, REWARDS, Setup, ended, last, worst

# A step of 1/40 is one Runge-Kutta step; the look-ahead is the denoiser, so that no longer jump is made.
SHORT_JUMPS = GaussianMixture(*MIXTURE_ARGUMENTS, steps=1)

# 3 looks: max and sum take the whole tilt once more at each look, so that many looks make heavy-tailed weights
MIXTURE_RUNS = {
    "tds": (baselines.tds, PowerRamp()),
    "das": (partial(baselines.das, tempering=0.999, ess_threshold=0.95), PowerRamp()),
    **{f"fk {name}": (partial(mode, interval=10), WHOLE) for name, mode in FK.items()},
    "kernel weights, whole tilt at once": (partial(modes.importance, weights="kernel", ess_threshold=0.8), WHOLE),
}


def mixture_run(mode: Callable[..., Composition], reward: str, **changes: object) -> Run:
    """The base ODE is followed by the flow map and the noise is weak: 40 steps err far less than the statistics do."""
    return fmtt.assemble(
        SHORT_JUMPS, REWARDS[reward], mode=mode, look_ahead=Denoiser, steps=40, epsilon=PowerEpsilon(0.3),
        transport=FlowMapTransport, groups=128, particles=96, chunk=1_000_000, **changes,
    )  # fmt: skip


@pytest.mark.parametrize("name", GAUSSIAN_RUNS)
def test_weighted_baselines_on_the_gaussian(name: str) -> None:
    mode, scale, ramp = GAUSSIAN_RUNS[name]
    run = gaussian_run(mode, scale, beta=ramp)
    state, totals = ended(run.loop)
    assert worst(state.population, chain(scale)) < 4
    assert totals.selections.sum() > 0  # weights that resampling has used up are part of what is tested


@pytest.mark.slow
@pytest.mark.parametrize("reward", REWARDS)
@pytest.mark.parametrize("name", MIXTURE_RUNS)
def test_weighted_baselines_on_the_mixture(name: str, reward: str) -> None:
    mode, ramp = MIXTURE_RUNS[name]
    *earlier, state = states(mixture_run(mode, reward, beta=ramp).loop)
    assert worst(state.population, Setup(model="mixture", reward=reward).truth()) < 4
    assert (name == "das") == any((before.temperature < 0.9).all() for before in earlier)


@pytest.mark.parametrize("ramp", [PowerRamp(), WHOLE])
@pytest.mark.parametrize("reward", REWARDS)
def test_base_samples_weighted_at_the_end(reward: str, ramp: PowerRamp) -> None:
    """Their weights are ``exp(scale r)``, whatever the ramp; and the reward is called once for each."""
    run = mixture_run(baselines.reweight, reward, beta=ramp, scale=0.8)
    population = run.loop.last().population
    assert worst(population, Setup(model="mixture", reward=reward, scale=0.8).truth()) < 4
    torch.testing.assert_close(population.log_weights, 0.8 * population.tilt.reward)
    assert run.meter.reward == population.log_weights.numel()


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
    state, totals = ended(setup.loop())
    assert worst(state.population, setup.truth()) < 4
    assert totals.lowest_ess.max() < 0.9


class Unweighted(Trajectory):
    """Forgets the weights with which particles start."""

    def start(self) -> tuple[State, Info]:
        state, info = super().start()
        population = replace(state.population, log_weights=torch.zeros_like(state.population.log_weights))
        return replace(state, population=population), info


@pytest.mark.parametrize("name", ["kernel", "jarzynski"])
def test_weights_at_the_start_matter(name: str) -> None:
    loop = AT_ONCE_RUNS[name].loop()
    mutant = Unweighted(**{field.name: getattr(loop, field.name) for field in fields(loop)})
    assert worst(last(mutant).population, AT_ONCE.truth()) > 6
