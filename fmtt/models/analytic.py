"""Models whose velocity, score, denoiser and tilted laws are known in closed form. Tests use them as exact references.

For data from a mixture of Gaussians with diagonal covariance, the linear path is a mixture at every time:
component k is ``N(t m_k, (1-t)^2 + t^2 sigma_k^2)``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from fmtt.checks import at_least, numbers, points, positive, whole_number
from fmtt.flow import noise
from fmtt.flow.interpolant import expand
from fmtt.flow.ode import runge_kutta

SMALLEST_STD = 1e-9  # its square must be a number in float32


class MixtureLaw(NamedTuple):
    """A mixture of Gaussians with diagonal covariances, in float64.

    Attributes:
        means: ``(K, d)``.
        stds: ``(K, d)``.
        log_weights: ``(K,)``, normalised.
    """

    means: Tensor
    stds: Tensor
    log_weights: Tensor

    @property
    def mean(self) -> Tensor:
        """``(d,)``."""
        return self.log_weights.exp() @ self.means

    @property
    def second_moment(self) -> Tensor:
        """``E[x^2]`` for each coordinate, ``(d,)``."""
        return self.log_weights.exp() @ (self.means**2 + self.stds**2)

    def log_prob(self, x: Tensor) -> Tensor:
        """Log-density, ``(B, d)`` to ``(B,)``."""
        return torch.logsumexp(self._log_components(x), dim=1)

    def _log_components(self, x: Tensor) -> Tensor:
        normal = torch.distributions.Normal(self.means, self.stds)
        return self.log_weights + normal.log_prob(x[:, None]).sum(-1)

    def sample(self, count: int, seed: int) -> Tensor:
        """``(count, d)`` independent draws, float64."""
        u = noise.uniform((count,), seed, "component")
        which = torch.searchsorted(self.log_weights.exp().cumsum(0), u).clamp_max(len(self.log_weights) - 1)
        xi = noise.normal((count, self.means.shape[1]), seed, "sample").double()
        return self.means[which] + self.stds[which] * xi

    def tilted(self, precision: Tensor, slope: Tensor, constant: float) -> tuple[MixtureLaw, Tensor]:
        """The law proportional to ``rho(x) exp(-x.P x / 2 + slope.x + constant)`` and its log Z.

        Args:
            precision: the diagonal of P, ``(d,)``; ``1/sigma^2 + P`` must be positive.
            slope: ``(d,)``.
            constant: a number.

        Raises:
            ValueError: if the tilted law has no finite normaliser.
        """
        total = self.stds**-2 + precision
        if (total <= 0).any():
            raise ValueError("the reward grows faster than the model's tails fall: the tilted law does not exist")
        linear = self.means / self.stds**2 + slope
        means = linear / total
        log_z = 0.5 * (linear**2 / total - (self.means / self.stds) ** 2 - (self.stds**2 * total).log()).sum(1)
        joint = self.log_weights + log_z + constant
        evidence = torch.logsumexp(joint, 0)
        return MixtureLaw(means, total**-0.5, joint - evidence), evidence


class Gaussian:
    """Data from ``N(mean, diag(std^2))``; the flow map has a closed form.

    Args:
        mean: ``(d,)``.
        std: one positive number, or ``(d,)``.

    Raises:
        ValueError: if a number is not finite, a std not positive, or the lengths differ.
    """

    exact_flow_map = True

    def __init__(self, mean: Sequence[float], std: float | Sequence[float]):
        self.mean = torch.tensor(numbers("model.mean", mean), dtype=torch.float64)
        self.std = _stds("model.std", std, self.mean.shape)
        self.law = MixtureLaw(self.mean[None], self.std[None], torch.zeros(1, dtype=torch.float64))
        self.shape = tuple(self.mean.shape)

    def velocity(self, x: Tensor, t: Tensor) -> Tensor:
        t, mean, variance = expand(t, x), self.mean.to(x), self.std.to(x) ** 2
        slope = (t * variance - (1 - t)) / ((1 - t) ** 2 + t**2 * variance)
        return mean + (x - t * mean) * slope

    def flow_map(self, x: Tensor, s: Tensor, t: Tensor) -> Tensor:
        """``X_{s,t}(x) = t mean + (x - s mean) sigma_t / sigma_s``."""
        s, t, mean, variance = expand(s, x), expand(t, x), self.mean.to(x), self.std.to(x) ** 2
        sigma_s, sigma_t = (torch.sqrt((1 - u) ** 2 + u**2 * variance) for u in (s, t))
        return t * mean + (x - s * mean) * sigma_t / sigma_s


def standard_normal(size: int) -> Gaussian:
    """``N(0, I)`` in ``size`` dimensions: its samples are its noise."""
    return Gaussian([0.0] * whole_number("model.size", size, 1), 1.0)


class GaussianMixture:
    """Data from a mixture of K isotropic Gaussians; the flow map is an accurate, differentiable ODE solve.

    Args:
        means: ``(K, d)``.
        std: one positive number, or one for each component.
        weights: positive, one for each component, normalised here; None for equal weights.
        steps: Runge-Kutta steps of the flow map over a unit of time.

    Raises:
        ValueError: if a number is not finite, a std or weight not positive, or the lengths differ.
    """

    exact_flow_map = True

    def __init__(
        self,
        means: Sequence[Sequence[float]],
        std: float | Sequence[float],
        weights: Sequence[float] | None = None,
        steps: int = 24,
    ):
        rows = points("model.means", means)
        self.means = torch.tensor(rows, dtype=torch.float64)
        self.stds = _stds("model.std", std, (len(rows),))
        shares = [1.0] * len(rows) if weights is None else [positive("model.weights", w) for w in weights]
        if len(shares) != len(rows):
            raise ValueError(f"model.weights={list(weights or [])}: must be null or {len(rows)} numbers, one per mean")
        self.log_weights = torch.log_softmax(torch.tensor(shares, dtype=torch.float64).log(), 0)
        stds = self.stds[:, None].expand_as(self.means)
        self.law = MixtureLaw(self.means, stds, self.log_weights)
        self.shape, self.steps = (self.means.shape[1],), whole_number("model.steps", steps, 1)

    def velocity(self, x: Tensor, t: Tensor) -> Tensor:
        means, log_weights = self.means.to(x), self.log_weights.to(x)
        variances = self.stds.to(x) ** 2
        time = t[:, None]
        total = (1 - time) ** 2 + time**2 * variances  # (B, K)
        offset = x[:, None] - time[..., None] * means  # (B, K, d)
        log_density = -0.5 * offset.square().sum(-1) / total - 0.5 * x.shape[1] * total.log()
        responsibility = torch.softmax(log_weights + log_density, dim=1)
        slope = (time * variances - (1 - time)) / total
        return torch.einsum("bk,bkd->bd", responsibility, means + slope[..., None] * offset)

    def flow_map(self, x: Tensor, s: Tensor, t: Tensor) -> Tensor:
        return runge_kutta(self.velocity, x, s, t, self.steps)[0]


def ring_of_gaussians(count: int, radius: float, std: float, steps: int = 24) -> GaussianMixture:
    """``count`` equal modes at the corners of a regular polygon; with 8 the toy A of arXiv 2511.22688."""
    angle = torch.arange(whole_number("model.count", count, 1), dtype=torch.float64) * (2 * torch.pi / count)
    positive("model.radius", radius)
    corners = radius * torch.stack([angle.cos(), angle.sin()], dim=1)
    return GaussianMixture(corners.tolist(), std, steps=steps)


def _stds(name: str, std: float | Sequence[float], shape: tuple[int, ...]) -> Tensor:
    values = [at_least(name, positive(name, entry), SMALLEST_STD) for entry in numbers(name, std)]
    if len(values) not in (1, *shape):
        raise ValueError(f"{name}={std}: must be one number or {shape[0]} numbers")
    return torch.tensor(values, dtype=torch.float64).expand(shape)
