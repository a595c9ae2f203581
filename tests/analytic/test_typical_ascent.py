"""Typical ascent climbs no farther than the model itself allows."""

from __future__ import annotations

import math
from functools import partial
from itertools import pairwise

import pytest
import torch
from torch import Tensor

import fmtt
from fmtt.engine import Run
from fmtt.methods.auto import auto
from fmtt.methods.typical_ascent import FIRST_RADIUS, NARROWER, WIDER, TypicalAscent, TypicalState
from fmtt.models.analytic import Gaussian
from fmtt.rewards.plane import Linear
from fmtt.typicality import denoising_error
from tests.analytic.support import standardised

D = 64
MEAN = torch.linspace(-1, 2, D)
STD = torch.cat([torch.ones(1), torch.linspace(0.1, 0.4, D - 1)])
MODEL = Gaussian(MEAN.tolist(), STD.tolist())
UPWARD = Linear((1.0, *[0.0] * (D - 1)))  # without a maximum: only the model can stop who climbs it
GROUPS, PARTICLES = 8, 16


def ascent(steps: int = 40, groups: int = GROUPS, reward=UPWARD, scale: float = 1.0, **settings: float) -> Run:
    return fmtt.assemble(
        MODEL, reward, mode=partial(auto, **settings), steps=steps, scale=scale, groups=groups, particles=PARTICLES,
        chunk=100_000,
    )  # fmt: skip


def states(run: Run) -> list[TypicalState]:
    assert isinstance(run.loop, TypicalAscent)
    return list(run.loop.run())  # type: ignore[arg-type]


def shift(state: TypicalState) -> Tensor:
    """How far the particles are from where they started, ``(G, N)``."""
    return (state.population.x - state.origin).norm(dim=2)


def error_of(samples: Tensor, noise: Tensor) -> Tensor:
    """The denoising error of a Gaussian at t = 1/2, from the regression of x_1 on x_t."""
    gain = STD**2 / 2 / (STD**2 / 4 + 1 / 4)
    return (MEAN + gain * ((samples + noise) / 2 - MEAN / 2) - samples).square().mean(-1)


def test_denoising_error_of_a_gaussian() -> None:
    samples, noise = (torch.randn(3, 5, D, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1))
    for chunk in (100, 4):
        found = denoising_error(MODEL, samples, noise, 0.5, chunk)
        assert torch.allclose(found, error_of(samples, noise).double(), atol=1e-5)


def test_samples_of_the_model_have_its_posterior_variance() -> None:
    """``Var[x_1 | x_t] = s^2 (1-t)^2 / ((1-t)^2 + t^2 s^2)`` on average; a sample far out has more."""
    generator = torch.Generator().manual_seed(0)
    samples, noise = (torch.randn(64, 200, D, generator=generator) for _ in range(2))
    samples = MEAN + STD * samples
    for t in (0.3, 0.5, 0.8):
        variance = (STD**2 * (1 - t) ** 2 / ((1 - t) ** 2 + t**2 * STD**2)).mean()
        errors = denoising_error(MODEL, samples, noise, t, 100_000)
        assert standardised(errors.mean(1) - variance) < 3.5
        far = denoising_error(MODEL, MEAN + 2 * (samples - MEAN), noise, t, 100_000)
        assert standardised((far - errors).mean(1)) > 6


@pytest.mark.parametrize("scale", [1.0, -1.0])
def test_every_returned_sample_is_within_the_limit(scale: float) -> None:
    run = ascent(scale=scale)
    *way, last = states(run)
    noise = run.loop.noise.normal((PARTICLES, D), 0, "denoising")
    errors = error_of(last.population.x, noise)
    assert (errors <= last.limit + 1e-4).all()
    gain = scale * (last.population.tilt.reward - way[0].population.tilt.reward)
    assert (gain >= 0).all()
    assert standardised(gain.mean(1)) > 6
    assert torch.equal(UPWARD(last.population.x.flatten(0, 1)).double(), last.population.tilt.reward.flatten())


def test_limit_stops_the_ascent() -> None:
    """With every error allowed the same ascent goes farther, beyond the limit of the strict one."""
    strict, free = (states(ascent(quantile=q))[-1] for q in (0.5, 1.0))
    everything = TypicalState(**{**vars(free), "limit": torch.full_like(free.limit, math.inf)})
    run = ascent()
    state = TypicalState(**{**vars(run.loop.start()), "limit": everything.limit})
    *_, loose = run.loop.run(state)
    noise = run.loop.noise.normal((PARTICLES, D), 0, "denoising")
    assert (error_of(loose.population.x, noise) > strict.limit).double().mean() > 0.9
    rewards = [s.population.tilt.reward.mean(1) for s in (strict, free, loose)]
    assert standardised(rewards[1] - rewards[0]) > 4
    assert standardised(rewards[2] - rewards[1]) > 6


def test_limit_is_a_quantile_of_what_the_model_draws() -> None:
    """Estimated by many own samples, against errors of exact draws; a start that is above it is its own limit."""
    generator = torch.Generator().manual_seed(0)
    samples, noise = (torch.randn(20_000, D, generator=generator) for _ in range(2))
    expected = error_of(MEAN + STD * samples, noise).quantile(0.75)
    run = ascent(pilot=4000)
    start = run.loop.start()
    assert isinstance(start, TypicalState)
    assert start.limit.min() == pytest.approx(float(expected), rel=0.02)
    own = error_of(start.best_sample, run.loop.noise.normal((PARTICLES, D), 0, "denoising")).double()
    assert torch.allclose(start.limit, own.clamp_min(start.limit.min()), atol=1e-4)
    assert 0.15 < (start.limit > start.limit.min()).double().mean() < 0.35


@pytest.mark.parametrize("nats", [8.0, 72.0])
def test_nobody_leaves_the_ball_or_the_sphere(nats: float) -> None:
    way = states(ascent(nats=nats))[:-1]  # the last state holds samples
    for before, after in pairwise(way):
        assert torch.allclose(after.population.x.norm(dim=2), after.origin.norm(dim=2), rtol=1e-5)
        # onto the sphere of the origin from within the ball: at most twice as far
        assert (shift(after) <= 2 * before.radius + 1e-4).all()
        factor = torch.where(after.allowed, WIDER, NARROWER)
        assert torch.allclose(after.radius, (before.radius * factor).clamp_max(math.sqrt(2 * nats)))
    assert (way[0].radius == FIRST_RADIUS).all()
    assert {bool(flag) for state in way[1:] for flag in state.allowed.flatten()} == {True, False}


def test_fewer_nats_keep_it_nearer() -> None:
    near, far = (states(ascent(nats=nats, quantile=1.0))[-2] for nats in (2.0, 72.0))
    assert standardised((shift(far) - shift(near)).mean(1)) > 6
    assert shift(near).max() < 2.5


def test_steps_within_the_ball_are_as_long_as_the_rate_makes_them() -> None:
    first = states(ascent(rate=0.1))[1]
    assert (shift(first) <= 0.1 * (0.1 + 0.9 * 0.1) + 1e-5).all()
    assert shift(first).min() > 1e-3


def test_who_is_not_allowed_rests() -> None:
    """Its momentum starts anew from the gradient alone."""
    run = ascent()
    for before, after in pairwise(states(run)[:-1]):
        slope = before.population.tilt.gradient
        assert slope is not None
        clipped = slope * (0.1 / slope.norm(dim=2, keepdim=True)).clamp_max(1)
        kept = 0.9 * before.momentum * before.allowed[..., None]
        assert torch.allclose(after.momentum, kept + clipped, atol=1e-6)


def test_groups_do_not_depend_on_each_other() -> None:
    alone, many = (states(ascent(groups=groups))[-1] for groups in (1, GROUPS))
    assert torch.allclose(alone.population.x[0], many.population.x[0], atol=1e-5)


def test_every_call_is_counted() -> None:
    """A gradient and a denoising error for each iteration, and two evaluations for each pilot sample."""
    run = ascent(steps=7, pilot=5)
    run.loop.last()
    particles = GROUPS * PARTICLES
    assert run.meter.forward == 2 * 8 * particles + 2 * 5
    assert run.meter.backward == 7 * particles
    assert run.meter.reward == 8 * particles + 1  # one sample shows whether the reward has a gradient
