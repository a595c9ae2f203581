"""Objectives off the diagonal (s < t): one class for each identity of :mod:`fmtt.training.objectives`.

Each is called with the network, the teacher, a batch of the data and the number of the optimisation step. It returns
one loss per sample, ``(B,)``. Networks that read captions are told those of the batch.
"""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor, nn

from fmtt.checks import finite, whole_number
from fmtt.flow import noise
from fmtt.flow.interpolant import interpolate
from fmtt.training import objectives
from fmtt.training.captioned import Drawn, told
from fmtt.training.objectives import AverageVelocity
from fmtt.training.trajectories import TrajectoryPool

MOST_SHORT = 0.4  # the share of the pairs that neither end in data nor start from noise


class OffDiagonal(Protocol):
    """A loss on pairs of times s < t."""

    def __call__(self, net: Any, teacher: Any, batch: Drawn, step: int) -> Tensor: ...


class Points:
    """Draws points ``x_s`` on the interpolant and pairs s < t: sorted uniform times, and a share of pairs with t = 1.

    Args:
        seed: seed of all draws.
        to_data: share of the pairs that end at t = 1, as the look-ahead of tilting does.
    """

    def __init__(self, seed: int, to_data: float = 0.4):
        self.seed, self.to_data = seed, to_data

    def draw(self, images: Tensor, step: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """``x_s (B, *D)``, ``s``, ``t`` and one more uniform number, each ``(B,)``."""
        u = noise.uniform((4, len(images)), self.seed, step, "off-diagonal times", device=images.device).float()
        s, t = torch.minimum(u[0], u[1]), torch.maximum(u[0], u[1])
        s, t = torch.where(u[2] < self.to_data, u[0], s), torch.where(u[2] < self.to_data, torch.ones_like(t), t)
        x0 = noise.normal(images.shape, self.seed, step, "off-diagonal noise", device=images.device)
        return interpolate(x0, images, s), s, t, u[3]


class ProgressiveMidpoint(Points):
    """PSD-M: one jump equals two half jumps of the teacher."""

    def __call__(self, net: Any, teacher: Any, batch: Drawn, step: int) -> Tensor:
        x_s, s, t, _ = self.draw(batch.samples, step)
        return objectives.progressive(*told_both(net, teacher, batch), x_s, s, t, torch.full_like(s, 0.5))


class ProgressiveUniform(Points):
    """PSD-U: one jump equals two jumps of the teacher; the time between them is uniform."""

    def __call__(self, net: Any, teacher: Any, batch: Drawn, step: int) -> Tensor:
        x_s, s, t, h = self.draw(batch.samples, step)
        return objectives.progressive(*told_both(net, teacher, batch), x_s, s, t, h)


class Lagrangian(Points):
    """LSD in float32."""

    def __call__(self, net: Any, teacher: Any, batch: Drawn, step: int) -> Tensor:
        x_s, s, t, _ = self.draw(batch.samples, step)
        with torch.autocast(batch.samples.device.type, enabled=False):
            return objectives.lagrangian(*told_both(net, teacher, batch), x_s, s, t)


class MeanFlow(Points):
    """The Eulerian identity in MeanFlow's form, with the teacher's velocity as tangent, in float32."""

    def __call__(self, net: Any, teacher: Any, batch: Drawn, step: int) -> Tensor:
        x_s, s, t, _ = self.draw(batch.samples, step)
        with torch.autocast(batch.samples.device.type, enabled=False):
            return objectives.eulerian(*told_both(net, teacher, batch), x_s, s, t)


class TrajectoryDistillation(nn.Module):
    """Regression on pairs of points of the teacher's ODE trajectories. A pool of trajectories is renewed step by step.

    Args:
        shape: shape D of one sample.
        size: trajectories in the pool.
        intervals: Heun steps of a trajectory.
        every: optimisation steps between two renewals; the first call fills the pool.
        fresh: trajectories renewed each time.
        seed: seed of all draws.
        words: places of a caption; 0 for data without captions. New trajectories have captions of the batch.
        still: points of each step at which the network learns the teacher's velocity, beside the pairs.
        short: as in :class:`fmtt.training.trajectories.TrajectoryPool`.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        size: int,
        intervals: int,
        every: int,
        fresh: int,
        seed: int,
        words: int = 0,
        still: int = 0,
        short: float = 0.0,
    ):
        super().__init__()
        whole_number("objective.still", still, 0)
        if not 0 <= finite("objective.short", short) <= MOST_SHORT:
            raise ValueError(f"objective.short={short}: must be from 0 to {MOST_SHORT}")
        self.pool = TrajectoryPool(tuple(shape), size, intervals, seed, words, velocities=still > 0, short=short)
        self.every, self.fresh, self.still = every, fresh, still

    def __call__(self, net: Any, teacher: Any, batch: Drawn, step: int) -> Tensor:
        if step % self.every == 0:
            self.pool.refresh(teacher, self.fresh, batch.tokens)
        while not self.pool.full:
            self.pool.refresh(teacher, self.fresh, batch.tokens)
        pairs = self.pool.pairs(len(batch.samples), step)
        losses = objectives.trajectory(told(net, pairs.tokens), pairs.x_s, pairs.x_t, pairs.s, pairs.t)
        if not self.still:
            return losses
        points = self.pool.points(self.still, step)
        still = objectives.same_velocity(told(net, points.tokens), points.x, points.velocity, points.t)
        return torch.cat([losses, still])


def told_both(net: Any, teacher: Any, batch: Drawn) -> tuple[AverageVelocity, AverageVelocity]:
    """The network and its teacher, told the captions of a batch."""
    with torch.no_grad():
        guide = told(teacher, batch.tokens)
    return told(net, batch.tokens), guide
