"""The transport of second order that costs as much as Euler's: the velocity is asked for in the middle of the step."""

from __future__ import annotations

import math

from torch import Tensor

from fmtt.flow.batches import Batches
from fmtt.flow.protocols import Velocity, require_velocity
from fmtt.step.interval import Interval
from fmtt.step.kick import Seen, kicked
from fmtt.step.needs import NOTHING, Needs
from fmtt.step.transport import Arrival, AtBothEnds, Departure, Follow


class Midpoint:
    """``x + dt [b + eps s](x', t + dt/2)`` and the pushes, of second order in the step: one evaluation, as Euler's.

    ``x'`` is where the base process would be in the middle of the step if it went to the clean sample that the last
    step saw, plus half of the pushes. This way to x' is solved exactly, so that it is stable where data are narrow. The
    first step has no such sample, and starts from x itself. Half of the noise at x' makes the noise of the process of
    second order, too, in law.

    For ``kernel`` weights the noise is shifted by the guidance, in x' as in the step, so that they are exact for this
    base chain as they are for that of Euler.
    """

    stochastic, follows, growth, faithful, order = False, True, AtBothEnds(), True, 2

    def __init__(self, model: Velocity):
        require_velocity(model, "sampler.transport=midpoint", "flowmap with sampler.epsilon=zero")

    def needs(self, interval: Interval) -> Needs:
        return NOTHING

    def move(self, start: Departure, interval: Interval, follow: Follow, batches: Batches) -> Arrival:
        middle = interval.t + interval.dt / 2
        at = start.x if start.denoised is None else drawn(start.x, start.denoised, interval, middle)
        for push in start.pushes:
            at = at + push / 2
        seen = Seen(at, middle, follow(at, middle))
        moved = kicked(start.x, seen, start.pushes, interval)
        return Arrival(moved + interval.dt * seen.velocity, moved, seen, seen.denoised)


def drawn(x: Tensor, denoised: Tensor, interval: Interval, t: float) -> Tensor:
    """Where ``x (G, N, *D)`` is at ``t`` without noise, if the clean sample is ``denoised``: the exact solution of

    ``dx/dt = (denoised - x) / (1 - t) - eps (x - t denoised) / (1 - t)^2``.
    """
    left, right = 1 - interval.t, 1 - t
    kept = right / left * math.exp(-interval.epsilon * (1 / right - 1 / left))
    return kept * x + (t - kept * interval.t) * denoised
