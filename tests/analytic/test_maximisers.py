"""Methods that look for the maximum of the reward find it where it is known; they do nothing that they need not do."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise

import pytest
import torch
from torch import Tensor

import fmtt
from fmtt import baselines, modes
from fmtt.engine import Run, finish
from fmtt.guidance import Guidance, LikeVelocity, NormalisedGradient, Vantage
from fmtt.look_ahead import FlowMapJumps
from fmtt.loop import State
from fmtt.methods.noise_opt import AscentState, NoiseAscent, noise_opt
from fmtt.methods.rounds import multi_best_of_n
from fmtt.models.analytic import Gaussian
from fmtt.rewards.plane import HalfPlane, Linear
from fmtt.schedules import ConstantChi, RampFrom, ZeroEpsilon
from fmtt.transport import FlowMapTransport
from tests.analytic.support import GAUSSIAN, MIXTURE, REWARDS, standardised

QUADRATIC = REWARDS["quadratic"]  # largest, and zero, at its centre
CENTRE = torch.tensor(QUADRATIC.center)
GROUPS, PARTICLES = 8, 16

# --- noise_opt ---------------------------------------------------------------------------------------------------


def ascent(steps: int = 120, scale: float = 1.0, model=GAUSSIAN, reward=QUADRATIC, **settings: float) -> Run:
    mode = partial(noise_opt, **({"rate": 0.2, "clip": 10.0, "regularisation": 0.0} | settings))
    return fmtt.assemble(
        model, reward, mode=mode, steps=steps, scale=scale, groups=GROUPS, particles=PARTICLES, chunk=100_000
    )


def test_ascent_finds_the_maximum() -> None:
    """Every particle on its own, however far away it starts."""
    run = ascent()
    state = run.loop.last()
    assert (state.population.x - CENTRE).abs().max() < 1e-3
    assert (state.population.tilt.reward > -1e-5).all()
    assert (run.loop.start().population.tilt.reward < -1).sum() > 50
    result = finish(run, state)
    assert torch.equal(result.rewards.gather(1, result.selected[:, None])[:, 0], result.rewards.max(1).values)


def test_ascent_with_the_settings_of_the_paper_comes_near() -> None:
    """Its steps are as long as the clipped gradient makes them, and the best of them counts."""
    rewards = ascent(rate=5.0, clip=0.1, regularisation=0.01, steps=50).loop.last().population.tilt.reward
    assert rewards.max(1).values.min() > -0.01
    assert rewards.median() > -0.1


@pytest.mark.parametrize(("rate", "scale"), [(0.2, 1.0), (30.0, 1.0), (0.5, -1.0)])
def test_the_best_iterate_is_returned(rate: float, scale: float) -> None:
    """Also where the ascent does not converge, and where the smallest reward is wanted."""
    *way, state = ascent(rate=rate, scale=scale, steps=30).loop.run()
    rewards = torch.stack([scale * earlier.population.tilt.reward for earlier in way])
    final = scale * state.population.tilt.reward
    assert (final >= rewards.max(0).values).all()
    assert torch.equal(QUADRATIC(state.population.x.flatten(0, 1)).double(), state.population.tilt.reward.flatten())
    if rate == 30:  # nothing is better than the start
        assert (rewards[-1] < rewards[0]).all()
        assert (final == rewards[0]).all()
    else:
        assert (final > rewards[0]).all()


def test_iterates_are_those_of_nesterov_in_torch() -> None:
    """An independent optimiser, with clipping on the way, from the same noise."""
    rate, momentum, clip, regularisation = 0.4, 0.8, 0.5, 0.3
    run = ascent(rate=rate, momentum=momentum, clip=clip, regularisation=regularisation, steps=12, scale=1.7)
    states = list(run.loop.run())
    z = states[0].population.x[0, 3].clone().requires_grad_()
    optimiser = torch.optim.SGD([z], lr=rate, momentum=momentum, nesterov=True, maximize=True)
    clipped = 0
    for state in states[:-1]:
        assert torch.allclose(z, state.population.x[0, 3], atol=1e-5)
        x = GAUSSIAN.flow_map(z[None], torch.zeros(1), torch.ones(1))
        size = z.norm()
        objective = 1.7 * QUADRATIC(x)[0] + regularisation * ((len(z) - 1) * size.log() - size**2 / 2)
        optimiser.zero_grad()
        objective.backward()
        clipped += bool(torch.nn.utils.clip_grad_norm_([z], clip) > clip)
        optimiser.step()
    assert 0 < clipped < 12


WIDE = Gaussian(torch.linspace(-1, 1, 64).tolist(), torch.linspace(0.5, 1.5, 64).tolist())
FIRST = Linear((1.0, *[0.0] * 63))


def lengths_of_noise(regularisation: float) -> tuple[Tensor, Tensor, list[State]]:
    """|z| before and after, and the states."""
    states = list(ascent(model=WIDE, reward=FIRST, regularisation=regularisation, rate=0.1, steps=100).loop.run())
    first, last = states[0].population.x, states[-2].population.x  # the last state holds samples
    return first.norm(dim=2), last.norm(dim=2), states


def test_regularised_noise_stays_as_long_as_noise_is() -> None:
    """It settles where ``|z| - (d - 1) / |z|`` is the slope of the reward over the regularisation."""
    regularisation = 0.5
    before, after, states = lengths_of_noise(regularisation)
    slope = 0.5 / regularisation  # the std of the first coordinate is 0.5
    settled = (slope + (slope**2 + 4 * 63) ** 0.5) / 2
    assert abs(settled - 8) < 0.6
    assert (after - 8).abs().max() < 0.7
    assert (after <= settled + 1e-3).all()
    assert states[-1].population.tilt.reward.min() > states[0].population.tilt.reward.max()
    assert (before - 8).abs().max() > 1  # not because it had been there


def test_noise_without_regularisation_grows() -> None:
    _, after, _ = lengths_of_noise(0.0)
    assert after.min() > 12


def test_ascent_counts_one_gradient_for_each_iteration() -> None:
    run = ascent(steps=7)
    state = run.loop.last()
    particles = GROUPS * PARTICLES
    assert isinstance(run.loop, NoiseAscent) and isinstance(state, AscentState)
    assert (run.meter.forward, run.meter.backward, run.meter.reward) == (8 * particles, 7 * particles, 8 * particles)


# --- flow-map reward guidance ------------------------------------------------------------------------------------


def guided(mode: Callable[..., modes.Mode], steps: int = 100, model=GAUSSIAN, reward=QUADRATIC, **changes) -> Run:
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
        assert -0.25 < rewards.min() < -0.1


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
    # jumps; landings and velocities in the window; the reward at each landing, and at the end
    assert run.meter.forward == (10 + 5 + 5) * particles
    assert run.meter.reward == (5 + 1) * particles


def test_push_without_the_jacobian_is_along_the_gradient_of_the_reward() -> None:
    """``factor`` lengths of the velocity, along ``grad r`` at the landing; with the Jacobian, along that in x."""
    for jacobian in (True, False):
        run = guided(partial(baselines.fmrg, jacobian=jacobian, factor=1.5, window=(0, 1)), steps=10)
        before, after = list(run.loop.run())[3:5]
        x = before.population.x.flatten(0, 1)
        now, then, end = (torch.full((len(x),), t) for t in (0.3, 0.4, 1.0))
        landing = GAUSSIAN.flow_map(x, now, end)
        slope = -(landing - CENTRE) * torch.tensor(QUADRATIC.precision)
        if jacobian:
            start, finish_ = (
                torch.sqrt((1 - t) ** 2 + (t * GAUSSIAN.std.float()) ** 2) for t in (0.3, torch.tensor(1.0))
            )
            slope = slope * finish_ / start
        size = 1.5 * GAUSSIAN.velocity(x, now).norm(dim=1, keepdim=True) / slope.norm(dim=1, keepdim=True)
        expected = GAUSSIAN.flow_map(x + 0.1 * size * slope, now, then)
        assert torch.allclose(after.population.x.flatten(0, 1), expected, atol=1e-5)


def test_outside_its_window_fmrg_is_the_flow_map() -> None:
    run = guided(partial(baselines.fmrg, window=(0.25, 0.5)), steps=8, model=MIXTURE)
    base = guided(baselines.best_of_n, steps=8, model=MIXTURE)
    for one, other in zip(list(run.loop.run())[:3], base.loop.run(), strict=False):
        assert torch.equal(one.population.x, other.population.x)
    states = list(run.loop.run())
    for k, (before, after) in enumerate(pairwise(states)):
        x = before.population.x.flatten(0, 1)
        jump = MIXTURE.flow_map(x, torch.full((len(x),), before.t), torch.full((len(x),), after.t))
        assert torch.equal(jump.reshape(after.population.x.shape), after.population.x) == (k not in (2, 3))


@pytest.mark.parametrize("guidance", [LikeVelocity(10.0), NormalisedGradient(10.0)])
def test_zero_gradient_stays_zero(guidance: Guidance) -> None:
    """A vector of length zero has no direction; whatever length it should have, it stays what it is."""
    gradient = torch.zeros(1, 3, 2)
    gradient[0, 2] = torch.tensor([3.0, 4.0])
    velocity = torch.full((1, 3, 2), 0.5)
    pushed = guidance(Vantage(gradient, 0.0, gradient, 8 * velocity, None, lambda x, t: velocity, None))  # type: ignore
    assert torch.equal(pushed[:, :2], gradient[:, :2])
    assert pushed[0, 2].isfinite().all()


def test_reward_that_is_flat_somewhere_pushes_nobody_there() -> None:
    """The same in a run: who lands where the reward is flat is left alone."""
    flat = HalfPlane()
    run = guided(partial(baselines.fmrg, window=(0.0, 1.0), factor=10.0), steps=10, reward=flat)
    base = guided(modes.base, steps=10, reward=flat)
    start = run.loop.start().population
    landing = GAUSSIAN.flow_map(start.x.flatten(0, 1), torch.zeros(128), torch.ones(128)).reshape(start.x.shape)
    content = landing[..., 0] > 0
    assert 20 < content.sum() < 120
    x, untouched = run.loop.last().population.x, base.loop.last().population.x
    assert torch.equal(x[content], untouched[content])
    assert (x[..., 0] > -1e-2).all()


# --- best of n in rounds -----------------------------------------------------------------------------------------


def rounds(steps: int, groups: int = GROUPS, **changes) -> Run:
    return fmtt.assemble(
        GAUSSIAN, QUADRATIC, mode=multi_best_of_n, steps=steps, groups=groups, particles=6, chunk=100_000, **changes
    )


def best_reward(state: State) -> Tensor:
    return state.population.tilt.reward.max(1).values


@pytest.mark.parametrize("scale", [1.0, -1.0])
def test_best_never_gets_worse_from_round_to_round(scale: float) -> None:
    states = list(rounds(12, groups=64, scale=scale).loop.run())[1:]
    best = torch.stack([state.population.tilt.value.max(1).values for state in states])
    assert (best.diff(dim=0) >= 0).all()
    assert (best.diff(dim=0) > 0).any(0).double().mean() > 0.9
    for state in states:
        x, tilt = state.population.x, state.population.tilt
        assert torch.equal(QUADRATIC(x.flatten(0, 1)).double(), tilt.reward.flatten())
        assert torch.equal(scale * tilt.reward, tilt.value)


def test_rounds_pay() -> None:
    """At the same N, and also at the same number of landings."""
    ten, one = (best_reward(rounds(steps, groups=128).loop.last()) for steps in (10, 1))
    assert standardised(ten - one) > 6
    run = fmtt.assemble(
        GAUSSIAN, QUADRATIC, mode=baselines.best_of_n, epsilon=ZeroEpsilon(), transport=FlowMapTransport, steps=1,
        groups=128, particles=60, chunk=100_000,
    )  # fmt: skip
    assert standardised(ten - best_reward(run.loop.last())) > 4


@pytest.mark.parametrize("steps", [1, 3, 10])
def test_each_round_asks_once_for_each_particle(steps: int) -> None:
    run = rounds(steps)
    run.loop.last()
    assert run.meter.reward == run.meter.forward == steps * 6 * GROUPS
    assert run.meter.backward == 0


@pytest.mark.parametrize("jumps", [1, 3])
def test_first_round_is_best_of_n_from_the_same_noise(jumps: int) -> None:
    look = partial(FlowMapJumps, steps=jumps)
    first = list(rounds(5, look_ahead=look).loop.run())[1].population
    run = fmtt.assemble(
        GAUSSIAN, QUADRATIC, mode=baselines.best_of_n, epsilon=ZeroEpsilon(), transport=FlowMapTransport, steps=jumps,
        groups=GROUPS, particles=6,
    )  # fmt: skip
    best = run.loop.last().population
    assert torch.allclose(first.x, best.x, atol=1e-6)
    alone = rounds(1, look_ahead=look)
    state = alone.loop.last()
    assert torch.equal(state.population.x, first.x)
    assert torch.equal(alone.mode.choose(state.population, alone.loop.noise), best.tilt.reward.argmax(1))


def test_later_rounds_renoise_the_best() -> None:
    """A landing of a late round lies near the best before it: noise of size ``1 - t`` about ``t`` times that."""
    *_, before, after = rounds(100).loop.run()
    best = before.population.x[torch.arange(GROUPS), before.population.tilt.reward.argmax(1)]
    assert (after.population.x - best[:, None]).abs().max() < 0.1
    assert (after.population.x != best[:, None]).any()


def test_all_landings_of_a_later_round_descend_from_the_best() -> None:
    """They are renoised copies of it; no other noise of the start has left anything in them."""
    *_, before, after = list(rounds(5).loop.run())[:3]
    ancestor = before.population.ancestors.gather(1, before.population.tilt.reward.argmax(1, keepdim=True))
    assert (after.population.ancestors == ancestor).all()


@pytest.mark.parametrize("mode", [noise_opt, multi_best_of_n])
def test_look_aheads_that_make_no_samples_of_noise_are_refused(mode) -> None:
    with pytest.raises(ValueError, match=f"mode={mode.__name__}: works on the noise of a generator.*Denoiser"):
        fmtt.assemble(GAUSSIAN, QUADRATIC, mode=mode, look_ahead=fmtt.Denoiser)
