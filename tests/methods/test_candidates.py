"""Methods that choose among candidates without weights: best-of-n against order statistics, SVDD and beam."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial

import pytest
import torch
from torch import Tensor

import fmtt
from fmtt.api import Run, finish
from fmtt.flow.noise import Noise
from fmtt.flow.schedules import PowerEpsilon, RampFrom, ZeroEpsilon
from fmtt.methods import baselines
from fmtt.methods import presets as modes
from fmtt.methods.composition import Composition
from fmtt.methods.trajectory import Trajectory
from fmtt.smc.population import Population
from fmtt.smc.selection import ChooseAmongDuplicates
from fmtt.step.transport import Euler, FlowMapTransport
from fmtt.tilt.look_ahead import Denoiser
from fmtt.tilt.tilt import TiltValue
from tests.gaussian_chain import reference
from tests.support import (
    GAUSSIAN,
    REWARDS,
    Setup,
    standardised,
)

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


def best_rewards(preset: str, n: int, mode: Callable[..., Composition] = baselines.best_of_n) -> tuple[Run, Tensor]:
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


def svdd_run(groups: int, greedy: bool = False, mode: Callable[..., Composition] | None = None) -> Run:
    return fmtt.assemble(
        GAUSSIAN, REWARDS["quadratic"], mode=mode or partial(baselines.svdd, duplicates=DUPLICATES, greedy=greedy),
        look_ahead=Denoiser, beta=RampFrom(1.0), steps=6, groups=groups, particles=PROPOSALS, chunk=10**6, scale=1.5,
    )  # fmt: skip


@cache
def proposals() -> tuple[Tensor, Tensor]:
    """Where particles are after one step, ``(F, 4, 2)``, and their values, by families of 1500 groups."""
    run = svdd_run(1500, mode=modes.base)
    assert isinstance(run.loop, Trajectory)
    state, _ = run.loop.step(run.loop.start()[0])
    value = run.loop.dynamics.tilt.evaluate(state.population.x, state.t, gradient=False).value
    return state.population.x.reshape(-1, DUPLICATES, 2), value.reshape(-1, DUPLICATES)


def survivors(greedy: bool) -> Tensor:
    """Which proposal of each family the first selection of a run has kept, ``(F,)``."""
    run = svdd_run(1500, greedy)
    state, _ = run.loop.step(run.loop.start()[0])
    families = state.population.x.reshape(-1, DUPLICATES, 2)
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
    for state, _ in list(run.loop.run())[1:]:
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
    tilt = TiltValue(value.expand(groups, -1), value.expand(groups, -1))
    population = Population.start(torch.zeros(groups, PROPOSALS, 2), tilt)
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
def test_clones_without_noise_are_refused(mode: Callable[..., Composition]) -> None:
    with pytest.raises(ValueError, match=r"sampler\.epsilon: .*without noise; use linear"):
        fmtt.assemble(GAUSSIAN, REWARDS["linear"], mode=mode, epsilon=ZeroEpsilon())
    fmtt.assemble(GAUSSIAN, REWARDS["linear"], mode=mode)
