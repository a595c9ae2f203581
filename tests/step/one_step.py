"""One step of a dynamics alone: move, look and weigh."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from fmtt.step.dynamics import Draws, Dynamics, Moved, Step
from fmtt.step.needs import TILT
from fmtt.step.weights import Increment
from fmtt.tilt.tilt import TiltValue


class Stepped(NamedTuple):
    """Where a step ended: positions ``(G, N, *D)``, the tilt there, what it added to the log-weights, and the move."""

    x: Tensor
    tilt: TiltValue
    increment: Increment
    moved: Moved


def look(dynamics: Dynamics, x: Tensor, t: float, then: float | None = None) -> TiltValue:
    """The tilt at ``x (G, N, *D)``, with what the step from t to ``then`` needs of it; the value alone without one."""
    needs = TILT if then is None else dynamics.needs(dynamics.interval(t, then)) | TILT
    return dynamics.evaluate(x, t, needs)


def step(
    dynamics: Dynamics,
    x: Tensor,
    before: TiltValue,
    times: tuple[float, float],
    draws: Draws,
    after: float | None = None,
) -> Stepped:
    """The step over ``times`` of ``x (G, N, *D)``, whose tilt is ``before``; ``after`` is where the next one ends."""
    interval = dynamics.interval(*times)
    planned = Step(interval, dynamics.needs(interval), draws)
    moved = dynamics.move(x, before, planned)
    tilt = look(dynamics, moved.x, times[1], after)
    increment = dynamics.weigh(x, moved, before, tilt, (before.value, tilt.value), planned)
    return Stepped(moved.x, tilt, increment, moved)
