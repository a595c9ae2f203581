"""Typical ascent climbs freely, and returns no more than the model itself allows."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from itertools import pairwise

import pytest
import torch
from torch import Tensor

import fmtt
from fmtt.api import Run
from fmtt.flow.batches import Batches
from fmtt.flow.protocols import Flow
from fmtt.methods.auto import auto
from fmtt.methods.typical_ascent import LENIENT, TypicalAscent, TypicalState, best_within
from fmtt.models.analytic import Gaussian
from fmtt.rewards.plane import Linear, Quadratic
from fmtt.tilt.typicality import DRAWS, LOOKED_AT, denoising_error, usual_error
from tests.support import standardised

D = 64
MEAN = torch.linspace(-1, 2, D)
STD = torch.cat([torch.ones(1), torch.linspace(0.1, 0.4, D - 1)])
MODEL = Gaussian(MEAN.tolist(), STD.tolist())
UPWARD = Linear((1.0, *[0.0] * (D - 1)))  # without a maximum: only the model can stop who climbs it
GROUPS, PARTICLES = 8, 16


def ascent(steps: int = 40, groups: int = GROUPS, model=MODEL, reward=UPWARD, scale: float = 1.0, **settings) -> Run:
    return fmtt.assemble(
        model, reward, mode=partial(auto, **settings), steps=steps, scale=scale, groups=groups, particles=PARTICLES,
        chunk=100_000,
    )  # fmt: skip


def states(run: Run) -> list[TypicalState]:
    assert isinstance(run.loop, TypicalAscent)
    return [state for state, _ in run.loop.run()]  # type: ignore[misc]


def start_of(run: Run) -> TypicalState:
    start, _ = run.loop.start()
    assert isinstance(start, TypicalState)
    return start


def error_of(samples: Tensor, noise: Tensor) -> Tensor:
    """The denoising error of a Gaussian, from the regression of x_1 on x_t; one draw ``noise`` a sample."""
    t = LOOKED_AT
    gain = t * STD**2 / (t**2 * STD**2 + (1 - t) ** 2)
    return (MEAN + gain * (t * samples + (1 - t) * noise - t * MEAN) - samples).square().mean(-1)


def errors_in(run: Run, samples: Tensor) -> Tensor:
    """The denoising errors that a run sees of ``samples (G, N, D)``."""
    assert isinstance(run.loop, TypicalAscent)
    count = 1 if run.loop.iterations < 40 else 2
    draws = run.loop.noise.normal((count, PARTICLES, D), 0, "denoising")
    return torch.stack([error_of(samples, draws[:, draw]) for draw in range(count)]).mean(0)


def test_denoising_error_of_a_gaussian() -> None:
    generator = torch.Generator().manual_seed(0)
    samples, noise = torch.randn(3, 5, D, generator=generator), torch.randn(3, 4, 5, D, generator=generator)
    expected = (error_of(samples, noise[:, 0]) + error_of(samples, noise[:, 1])) / 2
    for chunk in (100, 4):
        found = denoising_error(MODEL, samples, noise[:, :2], Batches(chunk))
        assert torch.allclose(found, expected.double(), atol=1e-5)
    assert not torch.allclose(denoising_error(MODEL, samples, noise[:, 2:], Batches(100)), expected.double(), atol=1e-2)


def test_samples_of_the_model_have_its_posterior_variance() -> None:
    """``Var[x_1 | x_t] = s^2 (1-t)^2 / ((1-t)^2 + t^2 s^2)`` on average; a sample far out has more."""
    generator = torch.Generator().manual_seed(0)
    samples, noise = torch.randn(64, 200, D, generator=generator), torch.randn(64, 2, 200, D, generator=generator)
    samples = MEAN + STD * samples
    for t in (0.3, 0.5, 0.8):
        variance = (STD**2 * (1 - t) ** 2 / ((1 - t) ** 2 + t**2 * STD**2)).mean()
        errors = denoising_error(MODEL, samples, noise, Batches(100_000), t)
        assert standardised(errors.mean(1) - variance) < 3.5
        far = denoising_error(MODEL, MEAN + 2 * (samples - MEAN), noise, Batches(100_000), t)
        assert standardised((far - errors).mean(1)) > 6


@pytest.mark.parametrize("scale", [1.0, -1.0])
def test_every_returned_sample_is_within_the_limit(scale: float) -> None:
    run = ascent(steps=75, scale=scale)
    *way, last = states(run)
    assert (errors_in(run, last.population.x) <= last.limit + 1e-4).all()
    gain = scale * (last.population.tilt.reward - way[0].population.tilt.reward)
    assert (gain >= 0).all()
    assert standardised(gain.mean(1)) > 6
    assert torch.equal(UPWARD(last.population.x.flatten(0, 1)).double(), last.population.tilt.reward.flatten())
    # on the way they go beyond
    beyond = torch.stack([errors_in(run, state.population.tilt.sample) > last.limit for state in way[5:]])
    assert 0.2 < beyond.double().mean() < 0.95


def test_without_a_limit_the_best_of_the_way_is_returned() -> None:
    run = ascent(scale=-1.0)
    start = start_of(run)
    begun = replace(start, limit=torch.full_like(start.limit, math.inf))
    *way, last = (begun, *(state for state, _ in run.loop.run(begun)))
    lowest = torch.stack([state.population.tilt.reward for state in way[:-1]]).amin(0)
    assert (last.population.tilt.reward <= lowest).all()
    assert (errors_in(run, last.population.x) > start.limit).double().mean() > 0.9


def test_a_maximum_within_the_model_is_found() -> None:
    centre = (-0.2, *MEAN[1:].tolist())
    *_, last = states(ascent(steps=75, reward=Quadratic(centre, (4.0, *[0.0] * (D - 1)))))
    rewards = last.population.tilt.reward
    assert (rewards > -1e-2).double().mean() > 0.9  # some start where the noise that checks at them is against them
    assert rewards.median() > -1e-3


def test_limit_is_a_quantile_of_what_the_model_draws() -> None:
    """Estimated by many own samples, against errors of exact draws; a start that is above it is its own limit."""
    generator = torch.Generator().manual_seed(0)
    samples, noise = torch.randn(20_000, D, generator=generator), torch.randn(DRAWS, 20_000, D, generator=generator)
    samples = MEAN + STD * samples
    expected = float(torch.stack([error_of(samples, draw) for draw in noise]).mean(0).quantile(0.75))
    assert usual_error(MODEL, samples[None], noise[None], Batches(100_000)) == pytest.approx(expected, rel=1e-4)
    run = ascent(pilot=4000)
    start = start_of(run)
    assert start.limit.min() == pytest.approx(expected, rel=0.02)
    own = errors_in(run, start.samples[:, :, 0]).double()
    assert torch.allclose(start.limit, own.clamp_min(start.limit.min()), atol=1e-4)
    assert 0.15 < (start.limit > start.limit.min()).double().mean() < 0.35


def test_a_model_that_knows_its_usual_error_needs_no_pilot() -> None:
    knowing = Flow(MODEL.shape, MODEL.velocity, MODEL.flow_map, usual_error=0.5)
    for steps, draws, limit in ((39, 1, 0.5 * LENIENT), (40, 2, 0.5)):
        run = ascent(model=knowing, steps=steps)
        start = start_of(run)
        assert (start.limit == errors_in(run, start.samples[:, :, 0]).clamp_min(limit)).double().mean() > 0.99
        assert run.meter.forward == (1 + draws) * GROUPS * PARTICLES


def test_nobody_leaves_the_sphere_but_who_starts_anew() -> None:
    run = ascent(steps=40, check_every=6, rate=2.0)
    way = states(run)[:-1]  # the last state holds samples
    for before, after in pairwise(way):
        radius = after.population.x.norm(dim=2) / before.population.x.norm(dim=2)
        stays = (radius - 1).abs() < 1e-5
        if before.step not in (6, 12, 18, 24, 30):
            assert stays.all()
            continue
        lost = errors_in(run, before.population.tilt.sample) > before.limit
        assert {bool(flag) for flag in lost.flatten()} == {True, False}
        assert torch.equal(stays, ~lost)
        fresh = run.loop.noise.normal((PARTICLES, D), before.step, "restart")
        assert torch.equal(after.population.x[lost], fresh[lost])
        assert (after.momentum[lost] == 0).all()
        assert (after.momentum[~lost].norm(dim=1) > 0.05).all()
        assert torch.equal(after.pace, before.pace * torch.where(lost, 0.5, 1.0))


def test_half_the_pace_is_half_the_way() -> None:
    run = ascent(rate=1e-3)
    start = start_of(run)
    full, half = (run.loop.step(replace(start, pace=torch.full_like(start.pace, pace)))[0] for pace in (1.0, 0.5))
    ways = [(state.population.x - start.population.x) for state in (full, half)]
    assert torch.allclose(ways[1], ways[0] / 2, atol=1e-6)


def test_steps_are_as_long_as_the_rate_makes_them() -> None:
    start, first = states(ascent(rate=0.1))[:2]
    shift = (first.population.x - start.population.x).norm(dim=2)
    assert (shift <= 0.1 * (0.1 + 0.9 * 0.1) + 1e-5).all()
    assert shift.min() > 1e-3


def test_looking_back_finds_the_boundary() -> None:
    """With checks enough, the best that is within where all above are not; the start, index 0, where nothing is."""
    values = torch.randn(5, 7, 41, generator=torch.Generator().manual_seed(0))
    for bound in (-9.0, 0.0, 0.7, 9.0):

        def within(index: Tensor, bound: float = bound) -> Tensor:
            return values.gather(2, index[:, :, None])[:, :, 0] <= bound

        found = values.gather(2, best_within(values, within, checks=20)[:, :, None])[:, :, 0]
        best = torch.where(values <= bound, values, -torch.inf).amax(2)
        assert torch.equal(found, torch.maximum(best, values[:, :, 0]))


@pytest.mark.parametrize("checks", [1, 2, 3, 8])
def test_looking_back_returns_nothing_that_was_not_looked_at(checks: int) -> None:
    """Also where what is within lies scattered; the best is looked at first, and each look asks about everybody."""
    generator = torch.Generator().manual_seed(checks)
    values, good = torch.randn(5, 200, 31, generator=generator), torch.rand(5, 200, 31, generator=generator) < 0.3
    asked: list[Tensor] = []

    def within(index: Tensor) -> Tensor:
        asked.append(index)
        return good.gather(2, index[:, :, None])[:, :, 0]

    index = best_within(values, within, checks)
    assert len(asked) == checks
    assert torch.equal(asked[0], values.argmax(2))
    allowed = good.gather(2, index[:, :, None])[:, :, 0]
    assert (allowed | (index == 0)).all()
    assert ((torch.stack(asked) == index).any(0) | (index == 0)).all()
    best_is_good = good.gather(2, asked[0][:, :, None])[:, :, 0]
    assert torch.equal(index[best_is_good], asked[0][best_is_good])
    gained = values.gather(2, index[:, :, None])[:, :, 0] - values[:, :, 0]
    assert (gained >= 0).all()


def test_groups_do_not_depend_on_each_other() -> None:
    alone, many = (states(ascent(groups=groups))[-1] for groups in (1, GROUPS))
    assert torch.allclose(alone.population.x[0], many.population.x[0], atol=1e-5)


def test_every_call_is_counted() -> None:
    """A gradient for each iteration, and a landing and a look for each pilot sample; long runs look twice."""
    particles = GROUPS * PARTICLES
    for steps, draws in ((9, 1), (42, 2)):
        run = ascent(steps=steps, pilot=5, check_every=steps // 3, final_checks=2)
        run.loop.last()
        checks = 1 + 2 + 2  # at the start, after a third and two, and back
        assert run.meter.forward == (steps + 1 + draws * checks) * particles + (1 + DRAWS) * 5
        assert run.meter.backward == steps * particles
        assert run.meter.reward == (steps + 1) * particles + 1  # one sample shows whether the reward has a gradient


def test_short_runs_look_back_less_often() -> None:
    run = ascent(steps=4, pilot=5)
    run.loop.last()
    assert run.meter.forward == (5 + 1 + 2) * GROUPS * PARTICLES + (1 + DRAWS) * 5
