"""Samples of ``x_1`` given ``x_t = x``, made without training by noise and look-ahead, with weights that are right.

A point is renoised to an earlier time t', ``x' = q x + sqrt((1-t')^2 - q^2 (1-t)^2) e`` with ``q = t'/t``, and lands at
``z = L_{t'}(x')``. Under the weights (Weighted Diamond Maps, arXiv 2602.05993; derived anew)

    log w = r(z) + log N(x; t z, (1-t)^2) + log rho_{t'}(x') / rho_{t'}(q x) + |e|^2 / 2,

the log ratio of densities being the line integral of the score by the trapezoidal rule, z follows the posterior tilted
by ``exp(r)``. Right for a transported look-ahead as samples grow and as far as the score is linear along the way.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from fmtt.checks import whole_number
from fmtt.flow.batches import joined
from fmtt.flow.conditions import for_rows
from fmtt.tilt.tilt import Tilt, columns, require_differentiable

Velocities = Callable[[Tensor, float], Tensor]  # populations (G, N, *D) at one time to b_t, chunked


class Renoised(NamedTuple):
    """M renoised copies of each particle.

    Attributes:
        points: x', ``(G, M, N, *D)``.
        time: t'.
        ratio: q.
        score: ``s_{t'}(x')``, ``(G, M, N, *D)``.
        log_density: ``log rho_{t'}(x') / rho_{t'}(q x) + |e|^2 / 2``, ``(G, M, N)`` in float64.
    """

    points: Tensor
    time: float
    ratio: float
    score: Tensor
    log_density: Tensor


@dataclass(frozen=True)
class Posterior:
    """The settings.

    Attributes:
        samples: M, look-aheads of each particle in each step.
        snr_drop: factor by which the signal-to-noise ratio ``(t / (1-t))^2`` falls from t to t'.
    """

    samples: int = 32
    snr_drop: float = 9.0

    def __post_init__(self) -> None:
        whole_number("mode.samples", self.samples, 2)
        if not self.snr_drop > 1:
            raise ValueError(f"mode.snr_drop={self.snr_drop}: must be more than 1")

    def renoise(self, x: Tensor, t: float, base: Velocities, draws: Tensor) -> Renoised:
        """Copies of ``x (G, N, *D)`` at time t by the normal ``draws (G, M, N, *D)``."""
        ratio = 1 / (t + (1 - t) * math.sqrt(self.snr_drop))  # q = t' / t, also for t = 0
        earlier = ratio * t
        spread = math.sqrt((1 - earlier) ** 2 - (ratio * (1 - t)) ** 2)
        start, way = (ratio * x)[:, None], spread * draws
        score = score_of(base, start + way, earlier)
        mean_score = (score_of(base, start, earlier) + score) / 2
        log_density = (mean_score * way + draws.square() / 2).flatten(3).sum(-1).double()
        return Renoised(start + way, earlier, ratio, score, log_density)


def score_of(base: Velocities, points: Tensor, t: float) -> Tensor:
    """``s_t`` of copies ``(G, M, N, *D)`` at a time before 1."""
    at = points.flatten(1, 2)
    return ((t * base(at, t) - at) / (1 - t)).reshape(points.shape)


def normalised(log_weights: Tensor, like: Tensor) -> Tensor:
    """Weights ``(G, M, N)`` that sum to one over the M samples, shaped to multiply ``like (G, M, N, *D)``."""
    return columns(torch.softmax(log_weights, dim=1), like)


def tilted_mean(posterior: Posterior, x: Tensor, t: float, base: Velocities, tilt: Tilt, draws: Tensor) -> Tensor:
    """``E[x_1 e^r | x_t = x] / E[e^r | x_t = x]`` of ``x (G, N, *D)``, of the same shape."""
    copies = posterior.renoise(x, t, base, draws)
    z, reward = tilt.land(copies.points.flatten(1, 2), copies.time)
    z = z.reshape(draws.shape)
    miss = ((x[:, None] - t * z) / (1 - t)).flatten(3).square().sum(-1).double()
    log_w = tilt.scale * reward.reshape(miss.shape) - miss / 2 + copies.log_density
    return (normalised(log_w, z) * z).sum(1)


def value_gradient(posterior: Posterior, x: Tensor, t: float, base: Velocities, tilt: Tilt, draws: Tensor) -> Tensor:
    """``grad V_t`` with ``V_t(x) = log E[e^r(x_1) | x_t = x]``, for ``x (G, N, *D)``, of the same shape.

    ``sum_i W_i (grad_x [r(z_i) + log N(x; t z_i, (1-t)^2)] + q s_{t'}(x'_i)) - s_t(x)`` with the draws held fixed.

    Raises:
        ValueError: if the reward is not differentiable.
    """
    copies = posterior.renoise(x, t, base, draws)
    at, anchors = copies.points.flatten(1, 2), x[:, None].expand(draws.shape).flatten(1, 2)
    parts = tilt.batches.each(partial(_pulled_back, tilt, earlier=copies.time, t=t), at, anchors)
    values, slopes, misses = (joined(part) for part in zip(*parts, strict=True))
    log_w = values.double().reshape(copies.log_density.shape) + copies.log_density
    slope = copies.ratio * (slopes.reshape(draws.shape) + copies.score) - misses.reshape(draws.shape)
    return (normalised(log_w, slope) * slope).sum(1) - score_of(base, x[:, None], t)[:, 0]


def _pulled_back(
    tilt: Tilt, x: Tensor, anchor: Tensor, prompt: Tensor | None, earlier: float, t: float
) -> tuple[Tensor, Tensor, Tensor]:
    """``r(z) + log N(a; t z, (1-t)^2)`` of z = L(x), its gradients in x and, with the sign turned, in the anchor a."""
    with torch.enable_grad():
        x = x.detach().requires_grad_(True)
        z = tilt.look_ahead_for(prompt)(x, x.new_full(x.shape[:1], earlier)).sample
        miss = (anchor - t * z) / (1 - t)
        reward = for_rows(tilt.reward, prompt)(z)
        require_differentiable(reward)
        value = tilt.scale * reward - miss.flatten(1).square().sum(1) / 2
        (slope,) = torch.autograd.grad(value.sum(), x)
    return value.detach(), slope, miss.detach() / (1 - t)


def value_terms(
    posterior: Posterior, x: Tensor, t: float, base: Velocities, tilt: Tilt, draws: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Three terms of ``grad V_t``, each like ``x (G, N, *D)``, as the published code of Diamond Maps has them.

    Means over the samples of ``grad_x r(z)``, ``grad_x log N(x; t z, (1-t)^2)`` and ``q s_{t'}(x') - s_t(x)``, under
    weights ``softmax(r)``. Those of :func:`value_gradient` are right; these leave out the density of the samples.

    Raises:
        ValueError: if the reward is not differentiable.
    """
    copies = posterior.renoise(x, t, base, draws)
    at, anchors = copies.points.flatten(1, 2), x[:, None].expand(draws.shape).flatten(1, 2)
    parts = tilt.batches.each(partial(_pulled_apart, tilt, earlier=copies.time, t=t), at, anchors)
    values, slopes, pulls, misses = (joined(part) for part in zip(*parts, strict=True))
    slopes, pulls, misses = (part.reshape(draws.shape) for part in (slopes, pulls, misses))
    weights = normalised(values.double().reshape(copies.log_density.shape), slopes)
    to_reward, to_samples = weights * copies.ratio * slopes, weights * (copies.ratio * pulls - misses)
    score = score_of(base, x[:, None], t)[:, 0]
    return to_reward.sum(1), to_samples.sum(1), (weights * copies.ratio * copies.score).sum(1) - score


def _pulled_apart(
    tilt: Tilt, x: Tensor, anchor: Tensor, prompt: Tensor | None, earlier: float, t: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """``r(z)`` of z = L(x), its gradient in x, that of ``log N(a; t z, (1-t)^2)``, and the latter's in -a."""
    with torch.enable_grad():
        x = x.detach().requires_grad_(True)
        z = tilt.look_ahead_for(prompt)(x, x.new_full(x.shape[:1], earlier)).sample
        miss = (anchor - t * z) / (1 - t)
        value = tilt.scale * for_rows(tilt.reward, prompt)(z)
        require_differentiable(value)
        (slope,) = torch.autograd.grad(value.sum(), x, retain_graph=True)
        (pull,) = torch.autograd.grad(-miss.flatten(1).square().sum() / 2, x)
    return value.detach(), slope, pull, miss.detach() / (1 - t)
