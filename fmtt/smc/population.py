"""The population: everything that belongs to particles in one record, permuted as one.

Weights that are not used up by a resampling are carried. ``log Z`` is defined once, in :attr:`Population.log_evidence`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from fmtt.smc.potentials import PathValue
from fmtt.tilt.tilt import TiltValue, gather


@dataclass(frozen=True)
class Population:
    """G independent groups of N particles.

    Attributes:
        x: positions, ``(G, N, *D)``.
        tilt: the tilt at these positions.
        path: the values that the weights have followed so far; the tilt's own in most methods.
        log_weights: log-weights gathered since the last resampling, ``(G, N)`` in float64, not normalised.
        log_z: log of the evidence used up by resamplings so far, ``(G,)`` in float64.
        ancestors: index of the particle at t = 0 from which each descends, ``(G, N)``.
        denoised: the clean sample that the last step saw, ``(G, N, *D)``, for transports that look back, else None.
    """

    x: Tensor
    tilt: TiltValue
    path: PathValue
    log_weights: Tensor
    log_z: Tensor
    ancestors: Tensor
    denoised: Tensor | None = None

    @staticmethod
    def start(x: Tensor, tilt: TiltValue) -> Population:
        """Equal weights, log Z = 0, every particle its own ancestor."""
        groups, particles = x.shape[:2]
        zeros = torch.zeros(groups, particles, dtype=torch.float64, device=x.device)
        ancestors = torch.arange(particles, device=x.device).expand(groups, particles)
        return Population(x, tilt, PathValue(tilt.value), zeros, zeros[:, 0].clone(), ancestors)

    @cached_property
    def log_evidence(self) -> Tensor:
        """The estimate of log Z of each group, ``(G,)``: what resamplings used up plus the log-mean weight since."""
        return self.log_z + log_mean_weight(self.log_weights)

    @cached_property
    def ess(self) -> Tensor:
        """Effective sample size as a fraction of N, ``(G,)``."""
        return effective_fraction(self.log_weights)

    def take(self, index: Tensor) -> Population:
        """The particles ``index (G, M)`` of each group: positions, caches, weights and ancestors alike."""
        return Population(
            gather(self.x, index), self.tilt.take(index), self.path.take(index), gather(self.log_weights, index),
            self.log_z, gather(self.ancestors, index),
            None if self.denoised is None else gather(self.denoised, index),
        )  # fmt: skip

    def resampled(self, index: Tensor, where: Tensor) -> Population:
        """In the groups ``where (G,)`` the offspring ``index (G, N)``, their weights used up; elsewhere as it was."""
        stay = torch.arange(index.shape[1], device=index.device).expand_as(index)
        chosen = self.take(torch.where(where[:, None], index, stay))
        return replace(
            chosen,
            log_weights=torch.where(where[:, None], 0.0, self.log_weights),
            log_z=torch.where(where, self.log_evidence, self.log_z),
        )


def log_mean_weight(log_weights: Tensor) -> Tensor:
    """Log of the mean weight over particles; ``(G, N)`` to ``(G,)``."""
    return torch.logsumexp(log_weights, dim=1) - math.log(log_weights.shape[1])


def normalised_weights(log_weights: Tensor) -> Tensor:
    """Weights that sum to one over particles; ``(G, N)``."""
    return torch.softmax(log_weights, dim=1)


def effective_fraction(log_weights: Tensor) -> Tensor:
    """``ESS / N = (sum w)^2 / (N sum w^2)``; ``(G, N)`` to ``(G,)``, in (0, 1]."""
    log_ess = 2 * torch.logsumexp(log_weights, dim=1) - torch.logsumexp(2 * log_weights, dim=1)
    return (log_ess.exp() / log_weights.shape[1]).clamp_max(1.0)


def require_finite(values: Mapping[str, Tensor], step: int, groups: Sequence[int]) -> None:
    """Check rewards and log-weights ``(G, N)``, by name, of the groups with these numbers, in one synchronisation.

    Raises:
        FloatingPointError: naming the first group and particle with a NaN or an infinity, and the step.
    """
    if math.isfinite(sum(value.sum() for value in values.values())):  # not finite as soon as one of its terms is not
        return
    for name, value in values.items():
        for row, particle in torch.nonzero(~torch.isfinite(value)).tolist()[:1]:
            where = f"for particle {particle} of group {groups[row]} at step {step}"
            raise FloatingPointError(f"{name} is {value[row, particle].item()} {where}")
