"""The linear interpolant and the conversions between velocity, score and denoiser.

Time runs from 0 (noise) to 1 (data): ``x_t = (1 - t) x_0 + t x_1`` with ``x_0 ~ N(0, I)``. Formulas are those of
arXiv 2511.22688 for this path. Every ``t`` is ``(B,)``; only :func:`expand` broadcasts.
"""

from __future__ import annotations

from torch import Tensor


def expand(t: Tensor, x: Tensor) -> Tensor:
    """Reshape ``t (B,)`` to ``(B, 1, ..., 1)`` so that it multiplies ``x (B, *D)``.

    Raises:
        ValueError: if ``t`` is not one number for each entry of the batch.
    """
    if t.ndim != 1 or t.shape[0] != x.shape[0]:
        raise ValueError(f"time must have shape ({x.shape[0]},) for x of shape {tuple(x.shape)}, got {tuple(t.shape)}")
    return t.reshape(-1, *(1,) * (x.ndim - 1))


def interpolate(x0: Tensor, x1: Tensor, t: Tensor) -> Tensor:
    """``x_t = (1 - t) x_0 + t x_1``; ``x0, x1 (B, *D)``, ``t (B,)``."""
    t = expand(t, x0)
    return (1 - t) * x0 + t * x1


def denoiser_from_velocity(velocity: Tensor, x: Tensor, t: Tensor) -> Tensor:
    """``den_t(x) = E[x_1 | x_t = x] = x + (1 - t) b_t(x)``; finite for every t."""
    return x + (1 - expand(t, x)) * velocity


def noise_from_velocity(velocity: Tensor, x: Tensor, t: Tensor) -> Tensor:
    """``E[x_0 | x_t = x] = x - t b_t(x)``; finite for every t."""
    return x - expand(t, x) * velocity


def score_from_velocity(velocity: Tensor, x: Tensor, t: Tensor) -> Tensor:
    """``s_t(x) = grad log rho_t(x) = (t b_t(x) - x) / (1 - t)``; singular at t = 1 (see ``dynamics`` for eps s)."""
    return -noise_from_velocity(velocity, x, t) / (1 - expand(t, x))


def velocity_from_score(score: Tensor, x: Tensor, t: Tensor) -> Tensor:
    """``b_t(x) = (x + (1 - t) s_t(x)) / t``; singular at t = 0."""
    t = expand(t, x)
    return (x + (1 - t) * score) / t
