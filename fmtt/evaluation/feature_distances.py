"""Distances between samples and real data, and diversity of samples; functions of their features ``(B, F)``."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance

NEIGHBOURS = 5


def frechet_distance(first: Tensor, second: Tensor) -> float:
    """Squared Frechet distance of the Gaussians fitted to two sets of features ``(N, F)``, ``(M, F)``, in float64."""
    features = nn.Identity()
    features.num_features = first.shape[1]  # type: ignore[assignment]
    metric = FrechetInceptionDistance(features)
    metric.update(first.double(), real=True)
    metric.update(second.double(), real=False)
    return metric.compute().item()


def kernel_distance(first: Tensor, second: Tensor) -> tuple[float, float]:
    """Kernel distance of two sets of features ``(N, F)``, ``(M, F)``, and its standard error by the jackknife.

    It is the squared MMD with the kernel ``(x.y / F + 1)^3`` (Binkowski et al. 2018, KID), without bias whatever N and
    M are; so it may be negative. Of equal laws the error is too large by the square root of 2.
    """
    x, y = first.double(), second.double()
    n, m = len(x), len(y)
    own, real, cross = (polynomial_kernel(a, b) for a, b in ((x, x), (y, y), (x, y)))
    of_x, of_y = own.sum(1) - own.diagonal(), real.sum(1) - real.diagonal()
    x_to_y, y_to_x = cross.sum(1), cross.sum(0)
    total = of_x.sum() / (n * (n - 1)) + of_y.sum() / (m * (m - 1)) - 2 * cross.sum() / (n * m)
    fixed = of_y.sum() / (m * (m - 1)), of_x.sum() / (n * (n - 1))
    without_x = (of_x.sum() - 2 * of_x) / ((n - 1) * (n - 2)) + fixed[0] - 2 * (cross.sum() - x_to_y) / ((n - 1) * m)
    without_y = (of_y.sum() - 2 * of_y) / ((m - 1) * (m - 2)) + fixed[1] - 2 * (cross.sum() - y_to_x) / (n * (m - 1))
    variance = (n - 1) * without_x.var(correction=0) + (m - 1) * without_y.var(correction=0)
    return total.item(), variance.sqrt().item()


def polynomial_kernel(first: Tensor, second: Tensor) -> Tensor:
    """``(x.y / F + 1)^3`` of all pairs, ``(N, M)``."""
    return (first @ second.T / first.shape[1] + 1) ** 3


def spread(features: Tensor) -> tuple[float, float]:
    """Mean distance between two samples of ``features (B, F)``, and its standard error by the jackknife."""
    count = len(features)
    apart = distances(features, features)
    total = apart.sum()
    without = (total - 2 * apart.sum(1)) / ((count - 1) * (count - 2))
    error = (without.var(correction=0) * (count - 1)).sqrt()
    return (total / (count * (count - 1))).item(), error.item()


def covered(points: Tensor, by: Tensor, neighbours: int = NEIGHBOURS) -> float:
    """Share of ``points (N, F)`` that are covered by a sample of ``by (M, F)``.

    A sample covers a ball. Its radius is the distance to the k-th nearest other sample of ``by``, with k =
    ``neighbours``. The share of samples covered by real data is the *precision*, the share of real data covered by
    samples is the *recall* (Kynkaanniemi et al. 2019). A sample with k or more copies has radius 0, so a collapsed
    population covers little. The result is NaN if there is no k-th neighbour.
    """
    if len(by) <= neighbours:
        return math.nan
    reach = distances(by, by).kthvalue(neighbours + 1, dim=1).values
    return (distances(points, by) <= reach).any(1).double().mean().item()


def distances(first: Tensor, second: Tensor) -> Tensor:
    """Euclidean distances, ``(N, F)`` and ``(M, F)`` to ``(N, M)`` in float64."""
    return torch.cdist(first.double(), second.double(), compute_mode="donot_use_mm_for_euclid_dist")
