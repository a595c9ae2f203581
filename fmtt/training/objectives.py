"""Losses that make one two-time network ``v_{s,t}(x)`` both a velocity and a flow map.

The flow map is ``X_{s,t}(x) = x + (t - s) v_{s,t}(x)``. For s = t the network is fitted to the conditional velocity,
for s < t to one of the identities that characterise the flow map (Boffi, Albergo, Vanden-Eijnden 2025, arXiv
2505.18825). Each loss takes the network and points ``x_s (B, *D)`` at times ``s <= t (B,)``. Most losses for s < t also
take a teacher for the velocity: a frozen network, an averaged one, or the same one. A loss returns the mean squared
error of each sample, ``(B,)``.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from fmtt.flow.interpolant import expand, interpolate

AverageVelocity = Callable[[Tensor, Tensor, Tensor], Tensor]  # (x_s, s, t) -> v_{s,t}(x_s)


def squared_error(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean over dimensions of ``(prediction - target)^2``; ``(B, *D)`` to ``(B,)``."""
    return (prediction.float() - target.detach().float()).square().flatten(1).mean(1)


def flow_matching(net: AverageVelocity, x0: Tensor, x1: Tensor, t: Tensor) -> Tensor:
    """The diagonal: ``|v_{t,t}(x_t) - (x_1 - x_0)|^2`` at ``x_t = (1 - t) x_0 + t x_1``."""
    return squared_error(net(interpolate(x0, x1, t), t, t), x1 - x0)


def same_velocity(net: AverageVelocity, x: Tensor, velocity: Tensor, t: Tensor) -> Tensor:
    """Distillation of the teacher's velocity: ``|v_{t,t}(x) - velocity|^2``."""
    return squared_error(net(x, t, t), velocity)


def trajectory(net: AverageVelocity, x_s: Tensor, x_t: Tensor, s: Tensor, t: Tensor) -> Tensor:
    """Distillation on the teacher's trajectories: ``|v_{s,t}(x_s) - (x_t - x_s) / (t - s)|^2`` for s < t."""
    return squared_error(net(x_s, s, t), (x_t - x_s) / expand(t - s, x_s))


def progressive(net: AverageVelocity, teacher: AverageVelocity, x_s: Tensor, s: Tensor, t: Tensor, h: Tensor) -> Tensor:
    """PSD: one jump equals the teacher's two, ``X_{s,t} = X_{u,t} o X_{s,u}`` with ``u = h s + (1 - h) t``.

    ``h = 1/2`` is PSD-M; ``h ~ U(0, 1)`` is PSD-U. ``h (B,)``.
    """
    u = h * s + (1 - h) * t
    with torch.no_grad():
        first = teacher(x_s, s, u)
        second = teacher(x_s + expand(u - s, x_s) * first, u, t)
        target = expand(1 - h, x_s) * first + expand(h, x_s) * second
    return squared_error(net(x_s, s, t), target)


def lagrangian(net: AverageVelocity, teacher: AverageVelocity, x_s: Tensor, s: Tensor, t: Tensor) -> Tensor:
    """LSD: ``|d_t X_{s,t}(x_s) - b_t(X_{s,t}(x_s))|^2``; the gradient runs through the time derivative only.

    Needs float32 (forward-mode AD through convolutions fails under bf16 autocast).
    """

    def until(end: Tensor) -> Tensor:
        return net(x_s, s, end)

    average, derivative = torch.func.jvp(until, (t,), (torch.ones_like(t),))  # type: ignore[misc]
    span = expand(t - s, x_s)
    with torch.no_grad():
        velocity = teacher(x_s + span * average, t, t)
    return squared_error(average + span * derivative, velocity)


def eulerian(net: AverageVelocity, teacher: AverageVelocity, x_s: Tensor, s: Tensor, t: Tensor) -> Tensor:
    """MeanFlow with the teacher's velocity as tangent: ``|v_{s,t} - sg[b_s + (t-s) (d_s + b_s . grad) v_{s,t}]|^2``."""
    with torch.no_grad():
        velocity = teacher(x_s, s, s)
        tangents = (velocity, torch.ones_like(s))
        _, derivative = torch.func.jvp(lambda x, start: net(x, start, t), (x_s, s), tangents)  # type: ignore[misc]
        target = velocity + expand(t - s, x_s) * derivative
    return squared_error(net(x_s, s, t), target)
