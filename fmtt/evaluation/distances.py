"""Distances between weighted samples: maximum mean discrepancy and sliced Wasserstein-2; pure functions of tensors."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

BANDWIDTHS = (0.05, 0.1, 0.2, 0.5, 1.0)


def mmd(x: Tensor, y: Tensor, weights: Tensor, bandwidths: Sequence[float] = BANDWIDTHS) -> float:
    """Maximum mean discrepancy of ``x (B, d)`` with ``weights (B,)``, which sum to one, and ``y (M, d)``.

    ``sqrt(E k(x, x') + E k(y, y') - 2 E k(x, y))`` with ``k = mean_h exp(-|x - y|^2 / (2 h^2))`` over the bandwidths;
    the biased estimate, pairs of a point with itself included, which is never negative (Gretton et al. 2012).
    """
    equal = torch.full((len(y),), 1 / len(y), dtype=torch.float64, device=y.device)
    weights = weights.double()
    within = kernel_mean(x, x, weights, weights, bandwidths) + kernel_mean(y, y, equal, equal, bandwidths)
    return math.sqrt(max(within - 2 * kernel_mean(x, y, weights, equal, bandwidths), 0.0))


def kernel_mean(x: Tensor, y: Tensor, of_x: Tensor, of_y: Tensor, bandwidths: Sequence[float]) -> float:
    """``sum_ij of_x_i of_y_j k(x_i, y_j)``, in blocks of rows."""
    total = torch.zeros((), dtype=torch.float64, device=x.device)
    for rows, shares in zip(x.double().split(1024), of_x.split(1024), strict=True):
        squares = torch.cdist(rows, y.double()).square()
        kernel = torch.stack([torch.exp(squares / (-2 * h * h)) for h in bandwidths]).mean(0)
        total += shares @ kernel @ of_y
    return total.item()


def sliced_w2(x: Tensor, y: Tensor, weights: Tensor, slices: int = 64, levels: int = 1024) -> float:
    """Sliced Wasserstein-2 distance of points of the plane: ``x (B, 2)`` with ``weights (B,)``, and ``y (M, 2)``.

    The root of the mean over ``slices`` evenly spread directions of the squared distance of the quantiles at
    ``levels`` midpoints.

    Raises:
        ValueError: if the points are not in the plane.
    """
    if x.shape[1] != 2 or y.shape[1] != 2:
        raise ValueError(f"sliced_w2: needs points of the plane, got {x.shape[1]} and {y.shape[1]} coordinates")
    angle = torch.arange(slices, dtype=torch.float64, device=x.device) * (math.pi / slices)
    directions = torch.stack([angle.cos(), angle.sin()])
    equal = torch.full((len(y),), 1 / len(y), dtype=torch.float64, device=y.device)
    level = (torch.arange(levels, dtype=torch.float64, device=x.device) + 0.5) / levels
    gap = quantiles(x.double() @ directions, weights.double(), level) - quantiles(y.double() @ directions, equal, level)
    return gap.square().mean().sqrt().item()


def quantiles(values: Tensor, weights: Tensor, levels: Tensor) -> Tensor:
    """Quantiles of each column of ``values (B, S)`` under ``weights (B,)``; ``(L, S)``."""
    ordered, order = values.sort(dim=0)
    mass = weights[order].cumsum(0)
    wanted = (levels * mass[-1, :, None]).contiguous()
    index = torch.searchsorted(mass.T.contiguous(), wanted).clamp_max(len(values) - 1)
    return ordered.gather(0, index.T)
