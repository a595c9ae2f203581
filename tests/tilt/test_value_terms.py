"""The three terms of the published guidance of Diamond Maps, against differences of what they are gradients of."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch
from torch import Tensor

from fmtt.flow import noise
from fmtt.flow.batches import Batches
from fmtt.flow.schedules import PowerRamp
from fmtt.models.analytic import Gaussian
from fmtt.step.guidance import ValueTerms, Vantage
from fmtt.tilt.look_ahead import FlowMapJumps
from fmtt.tilt.posterior import Posterior, value_terms
from fmtt.tilt.tilt import Tilt
from tests.support import REWARDS

MODEL = Gaussian([0.3, -0.4], [0.7, 1.2])
SCALE, T, DROP = 1.3, 0.4, 3.0
X = noise.normal((2, 5, 2), "terms", "x").double()
DRAWS = noise.normal((2, 3, 5, 2), "terms", "draws").double()


def base(at: Tensor, time: float) -> Tensor:
    return MODEL.velocity(at.flatten(0, 1), at.new_full((at[..., 0].numel(),), time)).reshape(at.shape)


def tilt(reward: str) -> Tilt:
    return Tilt(MODEL, partial(FlowMapJumps, steps=1), REWARDS[reward], SCALE, PowerRamp(), Batches(None))


def looked_at(x: Tensor, reward: str) -> tuple[Tensor, Tensor, Tensor]:
    """The reward with its scale, ``log N(x; t z, (1-t)^2)`` and ``x'`` of the samples, ``(G, M, N)`` and with D."""
    ratio = 1 / (T + (1 - T) * math.sqrt(DROP))
    earlier = ratio * T
    points = (ratio * x)[:, None] + math.sqrt((1 - earlier) ** 2 - (ratio * (1 - T)) ** 2) * DRAWS
    flat = points.reshape(-1, 2)
    z = MODEL.flow_map(flat, flat.new_full((len(flat),), earlier), flat.new_ones(len(flat)))
    value = SCALE * REWARDS[reward](z).reshape(points.shape[:3])
    miss = (x[:, None] - T * z.reshape(points.shape)) / (1 - T)
    return value, -miss.square().sum(-1) / 2, points


def slope(of: Tensor, weights: Tensor, x: Tensor) -> Tensor:
    return torch.autograd.grad((weights * of).sum(), x, retain_graph=True)[0]


@pytest.mark.parametrize("reward", REWARDS)
def test_terms_are_the_gradients_of_reward_and_likelihood_and_a_difference_of_scores(reward: str) -> None:
    x = X.clone().requires_grad_()
    value, likelihood, points = looked_at(x, reward)
    weights = torch.softmax(value, dim=1).detach()
    to_reward, to_samples, score = value_terms(Posterior(3, DROP), X, T, base, tilt(reward), DRAWS)
    assert torch.allclose(to_reward, slope(value, weights, x), atol=1e-9)
    assert torch.allclose(to_samples, slope(likelihood, weights, x), atol=1e-9)
    ratio = 1 / (T + (1 - T) * math.sqrt(DROP))
    spread = (T * MODEL.std) ** 2 + (1 - T) ** 2
    earlier = ratio * T
    spread_before = (earlier * MODEL.std) ** 2 + (1 - earlier) ** 2
    scores = -(points.detach() - earlier * MODEL.mean) / spread_before
    expected = (weights[..., None] * ratio * scores).sum(1) + (X - T * MODEL.mean) / spread
    assert torch.allclose(score, expected, atol=1e-6)


def test_each_term_has_the_length_that_was_asked_for() -> None:
    posterior = Posterior(3, DROP)
    terms = value_terms(posterior, X, T, base, tilt("linear"), DRAWS)
    found = ValueTerms(posterior, 20.0)(Vantage(X, T, None, None, DRAWS, None, base, tilt("linear")))
    expected = sum(20 * term / term.norm(dim=-1, keepdim=True) for term in terms)
    assert torch.allclose(found, expected)
    with pytest.raises(ValueError, match=r"mode.length=-1: must be positive"):
        ValueTerms(posterior, -1)
