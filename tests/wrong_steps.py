"""Steps with one mistake each: in the weights, in the transport, in the move."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields, replace

from torch import Tensor

from fmtt.flow.batches import Batches
from fmtt.flow.protocols import Velocity
from fmtt.methods.trajectory import Trajectory
from fmtt.step.dynamics import Dynamics, Moved, Step
from fmtt.step.interval import Interval
from fmtt.step.needs import Needs
from fmtt.step.transport import (
    Arrival,
    AtBothEnds,
    AtTheEnd,
    Carried,
    Departure,
    Euler,
    FlowMapTransport,
    Follow,
    Transport,
)
from fmtt.step.weights import Increment, Jarzynski, Move, Moves, Weights
from fmtt.tilt.tilt import Tilt, TiltValue

Mutation = Callable[[Trajectory], Trajectory]


# --- weights ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Wrong:
    """Weights whose increment is altered: ``change(right, move)``; they fit every move."""

    right: Weights
    change: Callable[[Weights, Move], Increment]
    weighted, invariant = True, False

    def fitted(self, moves: Moves) -> Wrong:
        return self

    def needs(self, interval: Interval) -> Needs:
        return self.right.needs(interval)

    def increment(self, move: Move) -> Increment:
        return self.change(self.right, move)


def weights(change: Callable[[Weights, Move], Increment]) -> Mutation:
    """The weights of the loop with an altered increment."""
    return lambda loop: with_dynamics(loop, weights=Wrong(loop.dynamics.weights, change))


def with_dynamics(loop: Trajectory, **changes: object) -> Trajectory:
    return replace(loop, dynamics=replace(loop.dynamics, **changes))


def flipped(right: Weights, move: Move) -> Increment:
    """The wrong sign."""
    return Increment(-right.increment(move).log_weights)


def without_quadratic(right: Weights, move: Move) -> Increment:
    """Forgets ``eps dt |g|^2 / 4``."""
    found, interval = right.increment(move), move.interval
    if move.guidance is None or interval.epsilon == 0:
        return found
    square = move.guidance.flatten(2).square().sum(-1)
    return Increment(found.log_weights + interval.epsilon * interval.dt / 4 * square)


def wrong_variance(factor: float) -> Callable[[Weights, Move], Increment]:
    """Takes the variance of the step for ``factor`` times what it is."""

    def change(right: Weights, move: Move) -> Increment:
        interval = move.interval
        return right.increment(move._replace(interval=interval._replace(epsilon=interval.epsilon * factor)))

    return change


def without_chi(right: Weights, move: Move) -> Increment:
    """Takes the extra drift for none."""
    return right.increment(move._replace(interval=move.interval._replace(chi=0.0)))


def without_laplacian(right: Weights, move: Move) -> Increment:
    """``grad r_t . (s + grad r_t)`` alone."""
    return right.increment(move if move.laplacian is None else move._replace(laplacian=0 * move.laplacian))


def without_score(right: Weights, move: Move) -> Increment:
    """``grad r_t . grad r_t`` without ``grad r_t . s``."""
    return right.increment(move._replace(velocity=move.x / max(move.interval.t, 1e-9)))


def flipped_noise(right: Weights, move: Move) -> Increment:
    """The wrong sign in the product of guidance and noise."""
    return right.increment(move if move.noise is None else move._replace(noise=-move.noise))


def early(right: Weights, move: Move) -> Increment:
    """The reward before the move only, times the rise of the linear ramp in the step before."""
    interval = move.interval
    rise = interval.strength - max(interval.strength - interval.rise, 0.0)
    return Increment(rise * move.before.reward)


def short_anyway(loop: Trajectory) -> Trajectory:
    """Short weights for any look-ahead."""
    return with_dynamics(loop, weights=Jarzynski())


# --- transport -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Misled(AtBothEnds):
    """Measures the gap of an altered transport."""

    change: Callable[[Carried], Carried]

    def gap(self, carried: Carried, interval: Interval, tilt: Tilt) -> Tensor:
        return super().gap(self.change(carried), interval, tilt)


class Sooner(AtTheEnd):
    """Measures the work where the step begins, before the kick."""

    def work(self, carried: Carried, interval: Interval) -> Tensor:
        return super().work(carried._replace(after=carried.before), interval)


class Shorter(FlowMapTransport):
    """Stops a tenth of the way before the end of every step."""

    def move(self, start: Departure, interval: Interval, follow: Follow, batches: Batches) -> Arrival:
        arrived = super().move(start, interval, follow, batches)
        sooner = interval.t + 0.9 * interval.dt
        return arrived._replace(x=batches.flow_map(self.model, arrived.kicked, interval.t, sooner))


class MeasuredSooner(FlowMapTransport):
    growth = Sooner()


def transport(wrong: Callable[[Velocity], Transport]) -> Mutation:
    return lambda loop: with_dynamics(loop, transport=wrong(loop.dynamics.model))


def gap(change: Callable[[Carried], Carried]) -> Mutation:
    """Euler's transport with a gap measured on altered values."""

    class Altered(Euler):
        growth = Misled(change)

    return transport(Altered)


def without_time(carried: Carried) -> Carried:
    """``grad r_t . b`` without ``d_t``."""
    return carried._replace(before=carried.before._replace(rate=0 * carried.before.reward))


def without_drift(carried: Carried) -> Carried:
    """``d_t`` without ``grad r_t . b``."""
    return carried._replace(velocity=0 * carried.kicked)


# --- move ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ScoreTimes(Dynamics):
    """The score of the move is multiplied by ``factor``; the difference to the right move is hidden in the noise."""

    factor: float = -1.0

    def move(
        self, x: Tensor, before: TiltValue, step: Step, share: Tensor | None = None, denoised: Tensor | None = None
    ) -> Moved:
        interval, _, draws = step
        if draws.kick is not None:
            score = -(x - interval.t * self.velocity(x, interval.t)) / (1 - interval.t)
            kick = draws.kick + (self.factor - 1) * math.sqrt(interval.epsilon * interval.dt / 2) * score
            step = step._replace(draws=draws._replace(kick=kick))
        return super().move(x, before, step, share, denoised)


def score_times(factor: float) -> Mutation:
    def mutate(loop: Trajectory) -> Trajectory:
        parts = {field.name: getattr(loop.dynamics, field.name) for field in fields(loop.dynamics)}
        return replace(loop, dynamics=ScoreTimes(**parts, factor=factor))

    return mutate


@dataclass(frozen=True)
class Lagged:
    """``beta(t - lag)``."""

    ramp: Callable[[float], float]
    lag: float

    def __call__(self, t: float) -> float:
        return self.ramp(max(t - self.lag, 0.0))


def lagged_ramp(loop: Trajectory) -> Trajectory:
    """The ramp one step late."""
    tilt = loop.dynamics.tilt
    return with_dynamics(loop, tilt=replace(tilt, ramp=Lagged(tilt.ramp, loop.times[-1] - loop.times[-2])))
