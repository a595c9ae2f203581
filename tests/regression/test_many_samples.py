"""A mean of logarithms stood in for the logarithm of a mean.

The value of a point is ``V = log E[e^r]`` over samples of its posterior. Its gradient weighs the gradients of single
samples by softmax, as that of a log-mean-exp does; their plain mean is the gradient of a mean of logarithms.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import Tensor

from fmtt.flow import noise
from fmtt.flow.batches import Batches
from fmtt.flow.schedules import PowerRamp
from fmtt.models.analytic import MixtureLaw
from fmtt.rewards.plane import Quadratic, WavyRing
from fmtt.tilt.look_ahead import FlowMapJumps
from fmtt.tilt.posterior import Posterior, tilted_mean, value_gradient
from fmtt.tilt.tilt import Tilt
from tests.support import GAUSSIAN

GROUPS, SAMPLES, PARTICLES = 3, 16, 5
REWARDS = {"quadratic": Quadratic((1.5, 0.2), (1.5, 0.4)), "ring": WavyRing(width=0.3)}
SCALE, DROP = 2.0, 4.0
TIMES = [0.0, 0.3, 0.6, 0.9]


def base(at: Tensor, time: float) -> Tensor:
    return GAUSSIAN.velocity(at.flatten(0, -2), at.new_full((at[..., 0].numel(),), time)).reshape(at.shape)


def tilt(reward: str) -> Tilt:
    return Tilt(GAUSSIAN, partial(FlowMapJumps, steps=1), REWARDS[reward], SCALE, PowerRamp(), Batches(7))


def places(t: float) -> tuple[Tensor, Tensor]:
    """Points ``(G, N, 2)`` and draws ``(G, M, N, 2)`` in float64."""
    x = 0.5 * t + (1 - t / 2) * noise.normal((GROUPS, PARTICLES, 2), 1, "x").double()
    return x, noise.normal((GROUPS, SAMPLES, PARTICLES, 2), 1, "e").double()


def gradient(reward: str, x: Tensor, t: float, draws: Tensor) -> Tensor:
    return value_gradient(Posterior(SAMPLES, DROP), x, t, base, tilt(reward), draws)


def log_terms(reward: str, x: Tensor, t: float, draws: Tensor) -> Tensor:
    """``log w_i(x)`` of each sample with ``V = log mean w``, ``(G, M, N)``: written out, with exact densities."""
    earlier = t / (t + (1 - t) * math.sqrt(DROP))
    ratio = 1 / (t + (1 - t) * math.sqrt(DROP))
    spread = math.sqrt((1 - earlier) ** 2 - (ratio * (1 - t)) ** 2)
    copies = ratio * x[:, None] + spread * draws
    flat = copies.reshape(-1, 2)
    z = GAUSSIAN.flow_map(flat, flat.new_full((len(flat),), earlier), flat.new_ones(len(flat)))
    value = SCALE * REWARDS[reward](z).reshape(draws.shape[:-1])
    miss = (x[:, None] - t * z.reshape(draws.shape)) / (1 - t)
    densities = log_path(copies, earlier) - log_path(x, t)[:, None]
    return value - miss.square().sum(-1) / 2 + densities + draws.square().sum(-1) / 2


def log_path(x: Tensor, t: float) -> Tensor:
    law = MixtureLaw(t * GAUSSIAN.law.means, ((1 - t) ** 2 + (t * GAUSSIAN.law.stds) ** 2).sqrt(), torch.zeros(1))
    return law.log_prob(x.reshape(-1, 2)).reshape(x.shape[:-1])


def by_autograd(reward: str, x: Tensor, t: float, draws: Tensor, mean_of_logarithms: bool = False) -> Tensor:
    x = x.clone().requires_grad_()
    terms = log_terms(reward, x, t, draws)
    value = terms.mean(1) if mean_of_logarithms else torch.logsumexp(terms, 1) - math.log(terms.shape[1])
    (slope,) = torch.autograd.grad(value.sum(), x)
    return slope


@pytest.mark.parametrize("reward", REWARDS)
@pytest.mark.parametrize("t", TIMES)
def test_gradient_is_that_of_the_logarithm_of_the_mean(t: float, reward: str) -> None:
    x, draws = places(t)
    found = gradient(reward, x, t, draws)
    assert torch.allclose(found, by_autograd(reward, x, t, draws), rtol=1e-9, atol=1e-9)
    mean_of_logarithms = by_autograd(reward, x, t, draws, mean_of_logarithms=True)
    assert ((found - mean_of_logarithms).abs().amax(-1) > 1e-3).all()


@pytest.mark.parametrize("reward", REWARDS)
@pytest.mark.parametrize("t", TIMES)
def test_samples_that_coincide_count_as_one(t: float, reward: str) -> None:
    x, draws = places(t)
    one = draws[:, :1]
    found = gradient(reward, x, t, one.expand_as(draws))
    assert torch.allclose(found, gradient(reward, x, t, one), rtol=1e-9, atol=1e-9)
    alone = by_autograd(reward, x, t, one, mean_of_logarithms=True)  # of one sample the two are the same
    assert torch.allclose(found, alone, rtol=1e-9, atol=1e-9)
    assert (found - gradient(reward, x, t, draws)).abs().max() > 1e-2


@pytest.mark.parametrize("reward", REWARDS)
@pytest.mark.parametrize("t", TIMES)
def test_plain_mean_of_single_gradients_is_the_mistake(t: float, reward: str) -> None:
    x, draws = places(t)
    singles = torch.stack([gradient(reward, x, t, draws[:, i : i + 1]) for i in range(SAMPLES)], dim=1)
    mistake = by_autograd(reward, x, t, draws, mean_of_logarithms=True)
    assert torch.allclose(singles.mean(1), mistake, rtol=1e-9, atol=1e-9)
    weights = torch.softmax(log_terms(reward, x, t, draws), dim=1)[..., None]
    assert torch.allclose((weights * singles).sum(1), gradient(reward, x, t, draws), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("t", TIMES)
def test_a_constant_in_the_reward_changes_nothing(t: float) -> None:
    """Weights are never exponentiated as they are: rewards of a thousand neither overflow nor underflow."""
    x, draws = places(t)
    posterior, right = Posterior(SAMPLES, DROP), tilt("quadratic")
    for constant in (1000.0, -1000.0):
        raised = replace(right, reward=lambda z, c=constant: REWARDS["quadratic"](z) + c)
        for estimate in (value_gradient, tilted_mean):
            found, before = (estimate(posterior, x, t, base, each, draws) for each in (raised, right))
            assert torch.allclose(found, before, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("t", TIMES)
def test_mean_of_the_tilted_posterior_is_weighted_the_same(t: float) -> None:
    x, draws = places(t)
    landings = [
        tilted_mean(Posterior(SAMPLES, DROP), x, t, base, tilt("ring"), draws[:, i : i + 1]) for i in range(SAMPLES)
    ]
    weights = torch.softmax(log_terms("ring", x, t, draws), dim=1)[..., None]
    found = tilted_mean(Posterior(SAMPLES, DROP), x, t, base, tilt("ring"), draws)
    assert torch.allclose((weights * torch.stack(landings, dim=1)).sum(1), found, rtol=1e-9, atol=1e-9)
