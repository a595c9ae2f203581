"""Solvers of the probability-flow ODE ``dx/dt = b_t(x)``."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from fmtt.flow.interpolant import expand


def runge_kutta(
    velocity: Callable[[Tensor, Tensor], Tensor], x: Tensor, s: Tensor, t: Tensor, steps: int
) -> tuple[Tensor, Tensor]:
    """Solve from times s to t, each ``(B,)``, in ``steps`` Runge-Kutta steps of order four.

    Returns:
        ``X_{s,t}(x)`` and, since it is known, ``b_s(x)``; both ``(B, *D)``. Differentiable.
    """
    h = (t - s) / steps
    width = expand(h, x)
    first = x  # replaced in the first step
    for k in range(steps):
        now = s + k * h
        k1 = velocity(x, now)
        k2 = velocity(x + width / 2 * k1, now + h / 2)
        k3 = velocity(x + width / 2 * k2, now + h / 2)
        k4 = velocity(x + width * k3, now + h)
        x = x + width / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        first = k1 if k == 0 else first
    return x, first
