"""A pool of the teacher's ODE trajectories, from which flow-map pairs (x_s, x_t) are drawn.

A pair on a trajectory is an unbiased target, without bootstrapping. A trajectory costs ``2 K`` network evaluations and
has K (K + 1) / 2 pairs, so it is used several times. Every call of :meth:`refresh` replaces the oldest trajectories, so
the pool follows the slowly changing teacher.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from fmtt.flow import noise
from fmtt.flow.interpolant import expand
from fmtt.training.captioned import told
from fmtt.training.objectives import AverageVelocity


class Trajectory(NamedTuple):
    """A solution of the teacher's ODE: points ``(B, K+1, *D)``, and velocities at all but the last ``(B, K, *D)``."""

    points: Tensor
    velocities: Tensor


def heun_trajectory(velocity: AverageVelocity, x: Tensor, times: Tensor) -> Trajectory:
    """Solve ``dx/dt = v_{t,t}(x)`` by Heun's method; ``x (B, *D)``, ``times (B, K+1)``."""
    path, slopes = [x], []
    for now, then in zip(times.unbind(1)[:-1], times.unbind(1)[1:], strict=True):
        step = expand(then - now, x)
        slope = velocity(x, now, now)
        ahead = velocity(x + step * slope, then, then)
        x = x + step * (slope + ahead) / 2
        path.append(x)
        slopes.append(slope)
    return Trajectory(torch.stack(path, dim=1), torch.stack(slopes, dim=1))


class Pairs(NamedTuple):
    """Pairs of points on trajectories.

    Attributes:
        x_s, x_t: ``(B, *D)``.
        s, t: their times, ``(B,)``.
        tokens: the words of the captions, ``(B, L)``, or None without captions.
    """

    x_s: Tensor
    x_t: Tensor
    s: Tensor
    t: Tensor
    tokens: Tensor | None


class Velocities(NamedTuple):
    """Points on trajectories ``x (B, *D)`` at times ``t (B,)``, with the teacher's velocities there, and captions."""

    x: Tensor
    t: Tensor
    velocity: Tensor
    tokens: Tensor | None


class TrajectoryPool(nn.Module):
    """``size`` trajectories of ``intervals`` Heun steps from noise to data, at jittered times; saved in checkpoints.

    Args:
        shape: shape D of one sample.
        size: trajectories kept.
        intervals: Heun steps of each.
        seed: seed of all draws.
        words: places of the caption of each trajectory; 0 without captions.
        velocities: whether the teacher's velocities are kept, too.
        short: share of the pairs that are at most a third of the trajectory apart, as in a few jumps; at most 0.4.
    """

    path: Tensor
    slopes: Tensor
    times: Tensor
    filled: Tensor
    tokens: Tensor

    def __init__(
        self,
        shape: tuple[int, ...],
        size: int,
        intervals: int,
        seed: int,
        words: int = 0,
        velocities: bool = False,
        short: float = 0.0,
    ):
        super().__init__()
        self.size, self.intervals, self.seed, self.velocities, self.short = size, intervals, seed, velocities, short
        slopes = torch.zeros(size if velocities else 0, intervals, *shape)
        self.register_buffer("slopes", slopes, persistent=velocities)
        self.register_buffer("path", torch.zeros(size, intervals + 1, *shape))
        self.register_buffer("times", torch.zeros(size, intervals + 1))
        self.register_buffer("filled", torch.zeros((), dtype=torch.long))
        self.register_buffer("tokens", torch.zeros(size, words, dtype=torch.long))

    @property
    def full(self) -> bool:
        return int(self.filled) >= self.size

    @torch.no_grad()
    def refresh(self, teacher: Any, count: int, tokens: Tensor | None = None) -> None:
        """Replace the ``count`` oldest trajectories by new ones of ``teacher``, told captions of ``tokens (B, L)``."""
        start = int(self.filled)
        jitter = noise.uniform((count, self.intervals), self.seed, start, "pool times")
        times = (torch.arange(self.intervals) + 0.01 + 0.98 * jitter) / self.intervals  # all times are different
        times[:, 0] = 0.0
        times = torch.cat([times, torch.ones(count, 1)], dim=1).float().to(self.path.device)
        x0 = noise.normal((count, *self.path.shape[2:]), self.seed, start, "pool noise", device=self.path.device)
        where = torch.arange(start, start + count, device=self.path.device) % self.size
        if tokens is not None:
            tokens = tokens[torch.arange(start, start + count, device=tokens.device) % len(tokens)]
            self.tokens[where] = tokens
        found = heun_trajectory(told(teacher, tokens), x0, times)
        self.path[where] = found.points.float()
        if self.velocities:
            self.slopes[where] = found.velocities.float()
        self.times[where] = times
        self.filled += count

    def pairs(self, count: int, step: int) -> Pairs:
        """``count`` random pairs s < t: half end in t = 1, a fifth start in s = 0, and a share ``short`` is close."""
        u = noise.uniform((4, count), self.seed, step, "pool pairs")
        kind, which = u[0], (u[1] * self.size).long()
        i, j = (u[2] * self.intervals).long(), (u[3] * (self.intervals + 1)).long()
        i, j = torch.minimum(i, j), torch.maximum(i, j)
        i = torch.where(i == j, (i - 1).clamp_min(0), i)
        j = torch.where(i == j, j + 1, j)
        to_data, from_noise = kind < 0.5, (kind >= 0.4) & (kind < 0.6)
        j = torch.where(to_data, self.intervals, j)
        i = torch.where(to_data, (u[2] * self.intervals).long(), i)
        i = torch.where(from_noise, 0, i)
        close, away = kind >= 1 - self.short, 1 + (u[3] * max(1, self.intervals // 3)).long()
        i = torch.where(close, (u[2] * self.intervals).long(), i)
        j = torch.where(close, (i + away).clamp_max(self.intervals), j)
        which, i, j = (index.to(self.path.device) for index in (which, i, j))
        tokens = self.tokens[which] if self.tokens.shape[1] else None
        return Pairs(self.path[which, i], self.path[which, j], self.times[which, i], self.times[which, j], tokens)

    def points(self, count: int, step: int) -> Velocities:
        """``count`` random points with the teacher's velocities, which the pool must keep."""
        u = noise.uniform((2, count), self.seed, step, "pool points", device=self.path.device)
        which, i = (u[0] * self.size).long(), (u[1] * self.intervals).long()
        tokens = self.tokens[which] if self.tokens.shape[1] else None
        return Velocities(self.path[which, i], self.times[which, i], self.slopes[which, i], tokens)
