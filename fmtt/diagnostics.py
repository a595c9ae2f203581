"""Diagnostics of weighted populations: pure functions of tensors."""

from __future__ import annotations

import torch
from torch import Tensor


def incremental_discrepancy(log_weights: Tensor, increment: Tensor) -> Tensor:
    """``D_k = log(E[g^2] / E[g]^2)`` under the weights before the step; ``(G, N)`` twice to ``(G,)``.

    ``g`` is the exponential of the increment. The sum of D_k over steps is the total discrepancy and the sum of
    ``sqrt(D_k)`` the thermodynamic length (Syed et al. 2024, arXiv 2408.12057).
    """
    log_w = torch.log_softmax(log_weights, dim=1)
    second = torch.logsumexp(log_w + 2 * increment, dim=1)
    return (second - 2 * torch.logsumexp(log_w + increment, dim=1)).clamp_min(0.0)


def weighted_mean(values: Tensor, log_weights: Tensor) -> Tensor:
    """Self-normalised mean over particles; ``(G, N, *D)`` and ``(G, N)`` to ``(G, *D)``, in float64."""
    weights = torch.softmax(log_weights, dim=1)
    return torch.einsum("gn,gn...->g...", weights, values.double())


def unique_ancestors(ancestors: Tensor) -> Tensor:
    """Number of particles of t = 0 that have descendants, of each group; ``(G, N)`` to ``(G,)``."""
    ordered = ancestors.sort(dim=1).values
    return 1 + (ordered[:, 1:] != ordered[:, :-1]).sum(1)


def mean_and_error(values: Tensor) -> tuple[float, float]:
    """Mean over independent groups ``(G,)`` and its standard error (NaN for one group)."""
    values = values.double()
    error = (values.std(correction=1) / len(values) ** 0.5).item() if len(values) > 1 else float("nan")
    return values.mean().item(), error


def log_mean_and_error(log_values: Tensor) -> tuple[float, float]:
    """Log of the mean of exponentials over groups ``(G,)`` and its standard error by the delta method.

    The estimates of Z, not of log Z, are unbiased; so Z is averaged and the logarithm taken last.
    """
    peak = log_values.max()
    mean, error = mean_and_error((log_values - peak).exp())
    return float(peak + torch.log(torch.tensor(mean, dtype=torch.float64))), error / mean
