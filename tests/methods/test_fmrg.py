"""Flow-map reward guidance finds the maximum where it is known, and does nothing that it need not do."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise

import pytest
import torch

import fmtt
from fmtt.api import Run
from fmtt.flow.schedules import ConstantChi, RampFrom, ZeroEpsilon
from fmtt.methods import baselines
from fmtt.methods import presets as modes
from fmtt.methods.composition import Composition
from fmtt.rewards.plane import HalfPlane
from fmtt.step.guidance import Guidance, LikeVelocity, NormalisedGradient, Vantage
from fmtt.step.transport import FlowMapTransport
from tests.methods.states import states
from tests.support import GAUSSIAN, MIXTURE, REWARDS, standardised

QUADRATIC = REWARDS["quadratic"]  # largest, and zero, at its centre
CENTRE = torch.tensor(QUADRATIC.center)
GROUPS, PARTICLES = 8, 16


def guided(mode: Callable[..., Composition], steps: int = 100, model=GAUSSIAN, reward=QUADRATIC, **changes) -> Run:
    """With the schedules of ``configs/mode/fmrg.yaml``."""
    return fmtt.assemble(
        model, reward, mode=mode, epsilon=ZeroEpsilon(), chi=ConstantChi(), beta=RampFrom(1.0), steps=steps,
        transport=FlowMapTransport, groups=GROUPS, particles=PARTICLES, chunk=100_000, **changes,
    )  # fmt: skip


@pytest.mark.parametrize("jacobian", [True, False])
def test_fmrg_finds_the_maximum(jacobian: bool) -> None:
    everywhere = partial(baselines.fmrg, jacobian=jacobian, window=(0.0, 1.0), factor=4.0)
    fine, coarse, base = (
        guided(mode, steps).loop.last().population.tilt.reward
        for mode, steps in ((everywhere, 400), (everywhere, 100), (modes.base, 10))
    )
    assert fine.min() > -1e-3
    assert 4 * fine.min() > coarse.min() > -1e-2  # a push is as long as the step, and so is what it misses by
    assert standardised((fine - base).mean(1)) > 6
    assert base.mean() < -1


def test_weak_pushes_run_out_of_time() -> None:
    """Twice the length of the velocity does not bring everybody there, however short the steps."""
    for steps in (100, 400):
        rewards = guided(partial(baselines.fmrg, window=(0.0, 1.0)), steps).loop.last().population.tilt.reward
        assert rewards.median() > -1e-3
        assert -2 < rewards.min() < -0.1


@pytest.mark.parametrize("jacobian", [True, False])
def test_early_window_gets_part_of_the_way(jacobian: bool) -> None:
    early, base = (
        guided(mode).loop.last().population.tilt.reward
        for mode in (partial(baselines.fmrg, jacobian=jacobian), modes.base)
    )
    assert standardised((early - base).mean(1)) > 6


@pytest.mark.parametrize("jacobian", [True, False])
def test_only_the_jacobian_needs_a_backward_pass(jacobian: bool) -> None:
    run = guided(partial(baselines.fmrg, jacobian=jacobian, window=(0.0, 0.5)), steps=10)
    run.loop.last()
    particles = GROUPS * PARTICLES
    assert run.meter.backward == (5 * particles if jacobian else 0)
    # jumps; landings in the window; the reward at each landing, and at the end
    assert run.meter.forward == (10 + 5) * particles
    assert run.meter.reward == (5 + 1) * particles


def test_push_without_the_jacobian_is_along_the_gradient_of_the_reward() -> None:
    """``factor`` lengths of the mean velocity to the landing, along ``grad r`` there; with the Jacobian, that in x."""
    for jacobian in (True, False):
        run = guided(partial(baselines.fmrg, jacobian=jacobian, factor=1.5, window=(0, 1)), steps=10)
        before, after = states(run.loop)[3:5]
        x = before.population.x.flatten(0, 1)
        now, then, end = (torch.full((len(x),), t) for t in (0.3, 0.4, 1.0))
        landing = GAUSSIAN.flow_map(x, now, end)
        slope = -(landing - CENTRE) * torch.tensor(QUADRATIC.precision)
        if jacobian:
            start, finish_ = (
                torch.sqrt((1 - t) ** 2 + (t * GAUSSIAN.std.float()) ** 2) for t in (0.3, torch.tensor(1.0))
            )
            slope = slope * finish_ / start
        size = 1.5 / 0.7 * (landing - x).norm(dim=1, keepdim=True) / slope.norm(dim=1, keepdim=True)
        expected = GAUSSIAN.flow_map(x + 0.1 * size * slope, now, then)
        assert torch.allclose(after.population.x.flatten(0, 1), expected, atol=1e-5)


def test_outside_its_window_fmrg_is_the_flow_map() -> None:
    run = guided(partial(baselines.fmrg, window=(0.25, 0.5)), steps=8, model=MIXTURE)
    way, base = states(run.loop), guided(baselines.best_of_n, steps=8, model=MIXTURE)
    for one, other in zip(way[:3], states(base.loop), strict=False):
        assert torch.equal(one.population.x, other.population.x)
    for k, (before, after) in enumerate(pairwise(way)):
        x = before.population.x.flatten(0, 1)
        jump = MIXTURE.flow_map(x, torch.full((len(x),), before.t), torch.full((len(x),), after.t))
        assert torch.equal(jump.reshape(after.population.x.shape), after.population.x) == (k not in (2, 3))


@pytest.mark.parametrize("guidance", [LikeVelocity(10.0), NormalisedGradient(10.0)])
def test_zero_gradient_stays_zero(guidance: Guidance) -> None:
    """A vector of length zero has no direction; whatever length it should have, it stays what it is."""
    gradient = torch.zeros(1, 3, 2)
    gradient[0, 2] = torch.tensor([3.0, 4.0])
    velocity = torch.full((1, 3, 2), 0.5)
    landing = gradient + 8 * velocity
    pushed = guidance(Vantage(gradient, 0.0, gradient, None, None, landing, lambda x, t: velocity, None))  # type: ignore
    assert torch.equal(pushed[:, :2], gradient[:, :2])
    assert pushed[0, 2].isfinite().all()


def test_reward_that_is_flat_somewhere_pushes_nobody_there() -> None:
    """The same in a run: who lands where the reward is flat is left alone."""
    flat = HalfPlane()
    run = guided(partial(baselines.fmrg, window=(0.0, 1.0), factor=10.0), steps=10, reward=flat)
    base = guided(modes.base, steps=10, reward=flat)
    start = run.loop.start()[0].population
    landing = GAUSSIAN.flow_map(start.x.flatten(0, 1), torch.zeros(128), torch.ones(128)).reshape(start.x.shape)
    content = landing[..., 0] > 0
    assert 20 < content.sum() < 120
    x, untouched = run.loop.last().population.x, base.loop.last().population.x
    assert torch.equal(x[content], untouched[content])
    assert (x[..., 0] > -1e-2).all()


def test_after_the_warmup_the_best_start_goes_on_alone() -> None:
    """As it would have gone on among all others, since nothing is drawn."""
    alone, together = (
        guided(partial(baselines.fmrg, window=(0.0, 0.5), warmup=warmup), steps=8) for warmup in (3, None)
    )
    way, all_of_them = states(alone.loop), states(together.loop)
    assert [state.population.x.shape[1] for state in way] == [PARTICLES] * 3 + [1] * 6
    best = all_of_them[3].population.tilt.value.argmax(1, keepdim=True)
    assert len(best.unique()) > 2
    for narrow, wide in zip(way[3:], all_of_them[3:], strict=True):
        torch.testing.assert_close(narrow.population.x, wide.population.take(best).x, rtol=1e-5, atol=1e-5)
    assert torch.equal(way[-1].population.ancestors, best)


def test_a_warmup_saves_the_evaluations_of_the_others() -> None:
    run = guided(partial(baselines.fmrg, window=(0.0, 0.5), warmup=2), steps=8)
    run.loop.last()
    # jumps and landings: two of all, two of the best; one landing of all, to choose; four jumps after the window
    assert run.meter.forward == GROUPS * (PARTICLES * (2 * 2 + 1) + 2 * 2 + 4)
    assert run.meter.backward == GROUPS * (PARTICLES * 2 + 2)


def test_one_start_has_no_warmup() -> None:
    with pytest.raises(ValueError, match=r"population\.particles=1: must be at least 2, or nothing is selected"):
        fmtt.assemble(GAUSSIAN, QUADRATIC, mode=partial(baselines.fmrg, warmup=2), particles=1)
