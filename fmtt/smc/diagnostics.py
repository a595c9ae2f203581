"""Diagnostics of weighted populations: pure functions of tensors."""

from __future__ import annotations

import torch
from torch import Tensor

LARGEST = 50.0  # variance of log-weights beyond which nothing is known anyway


def incremental_discrepancy(log_weights: Tensor, increment: Tensor) -> Tensor:
    """``D_k = log(E[g^2] / E[g]^2)`` under the weights before the step; ``(G, N)`` twice to ``(G,)``.

    ``g`` is the exponential of the increment. The sum of D_k over steps is the total discrepancy and the sum of
    ``sqrt(D_k)`` the thermodynamic length (Syed et al. 2024, arXiv 2408.12057).
    """
    log_w = torch.log_softmax(log_weights, dim=1)
    second = torch.logsumexp(log_w + 2 * increment, dim=1)
    return (second - 2 * torch.logsumexp(log_w + increment, dim=1)).clamp_min(0.0)


def tail_variance(log_weights: Tensor, increment: Tensor) -> Tensor:
    """``exp(s^2) - 1`` with ``s^2 = 2 E[(a - E a)_+^2]``, for increments a under the weights before the step.

    It is the relative variance of ``exp(a)`` if a has a normal upper tail, ``(G, N)`` twice to ``(G,)``. The sample's
    own variance, as in :func:`incremental_discrepancy`, is far too small where the largest weights were not drawn.
    """
    above = (increment - weighted_mean(increment, log_weights)[:, None]).clamp_min(0.0)
    return torch.expm1((2 * weighted_mean(above.square(), log_weights)).clamp_max(LARGEST))


def weighted_mean(values: Tensor, log_weights: Tensor) -> Tensor:
    """Self-normalised mean over particles; ``(G, N, *D)`` and ``(G, N)`` to ``(G, *D)``, in float64."""
    weights = torch.softmax(log_weights, dim=1)
    return torch.einsum("gn,gn...->g...", weights, values.double())


def unique_ancestors(ancestors: Tensor) -> Tensor:
    """Number of particles of t = 0 that have descendants, of each group; ``(G, N)`` to ``(G,)``."""
    ordered = ancestors.sort(dim=1).values
    return 1 + (ordered[:, 1:] != ordered[:, :-1]).sum(1)


def evidence_variance(log_weights: Tensor, ancestors: Tensor, multinomials: Tensor) -> Tensor:
    """Relative variance of the estimate of Z, from the genealogy of one population; ``(G, N)`` twice to ``(G,)``.

    ``1 - (N/(N-1))^(n+1) (1 - sum_e S_e^2)`` with S_e the weight of all descendants of particle e and n the number of
    multinomial resamplings ``(G,)``, for which it is unbiased (Lee and Whiteley 2018). Schemes that keep offspring
    even do not add the spread of family sizes that the power takes away; they are not counted in n. It is at its
    largest, 1, where all particles have one ancestor: then nothing is known.
    """
    family = family_sums(torch.softmax(log_weights, dim=1), ancestors)
    correction = _bessel(log_weights.shape[1], multinomials)
    return (1 - correction * (1 - family.square().sum(1))).clamp_min(0.0)


def mean_variance(values: Tensor, log_weights: Tensor, ancestors: Tensor, multinomials: Tensor) -> Tensor:
    """Variance of the weighted mean of ``values (G, N)`` from the genealogy of one population, ``(G,)``.

    ``(N/(N-1))^(n+1) sum_e (sum_{j from e} W_j (f_j - mean))^2`` (as :func:`evidence_variance`).
    """
    centred = values.double() - weighted_mean(values, log_weights)[:, None]
    family = family_sums(torch.softmax(log_weights, dim=1) * centred, ancestors)
    return _bessel(log_weights.shape[1], multinomials) * family.square().sum(1)


def family_sums(values: Tensor, ancestors: Tensor) -> Tensor:
    """Sum of ``values (G, N)`` over the descendants of each particle of t = 0, ``(G, N)``."""
    return torch.zeros_like(values).scatter_add(1, ancestors, values)


def _bessel(particles: int, multinomials: Tensor) -> Tensor:
    return (particles / max(particles - 1, 1)) ** (multinomials.double() + 1)


def mean_and_error(values: Tensor) -> tuple[float, float]:
    """Mean over independent groups ``(G,)`` and its standard error (NaN for one group)."""
    values = values.double()
    error = (values.std(correction=1) / len(values) ** 0.5).item() if len(values) > 1 else float("nan")
    return values.mean().item(), error


def log_mean(log_values: Tensor) -> Tensor:
    """Log of the mean of exponentials over groups ``(G,)``, a scalar in float64."""
    peak = log_values.max()
    return peak + (log_values - peak).exp().double().mean().log()


def log_mean_and_error(log_values: Tensor) -> tuple[float, float]:
    """:func:`log_mean`, and its standard error by the delta method.

    The estimates of Z, not of log Z, are unbiased; so Z is averaged and the logarithm taken last.
    """
    mean, error = mean_and_error((log_values - log_values.max()).exp())
    return log_mean(log_values).item(), error / mean


def pooled_mean(means: Tensor, log_z: Tensor) -> tuple[Tensor, Tensor]:
    """Mean of independent groups under the tilted law, and its standard error; ``(G, *D)`` and ``(G,)`` to ``(*D)``.

    Each group's self-normalised mean counts by its estimate of Z. Then numerator and denominator are unbiased, and the
    bias of their ratio falls with all particles together; that of a plain average over groups, with those of one only.
    The error is that of a ratio (NaN for one group).
    """
    share, means, groups = torch.softmax(log_z.double(), dim=0), means.double(), len(log_z)
    mean = torch.einsum("g,g...->...", share, means)
    spread = torch.einsum("g,g...->...", share.square(), (means - mean).square())
    return mean, (spread * groups / (groups - 1)).sqrt() if groups > 1 else torch.full_like(mean, float("nan"))
