"""The move of a step: ``dx = [b + eps s + (eps + chi) g] dt + sqrt(2 eps) dW``, with g the guidance.

All that is not b is the kick (:mod:`fmtt.step.kick`), then comes the transport along b (:mod:`fmtt.step.transport`).
Epsilon and chi are taken at the end of each step, so that a schedule that vanishes at t = 1 leaves no noise in what is
returned.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from torch import Tensor

from fmtt.checks import whole_number
from fmtt.flow.protocols import Velocity
from fmtt.flow.schedules import Chi, Epsilon, ZeroChi
from fmtt.step.field import Field
from fmtt.step.guidance import Guidance, Vantage, Window
from fmtt.step.interval import Interval
from fmtt.step.kick import Seen
from fmtt.step.needs import NOTHING, Needs
from fmtt.step.transport import Carried, Departure, Transport
from fmtt.step.weights import Increment, Move, Moves, Weights
from fmtt.tilt.tilt import Tilt, TiltValue, columns

EXACT_LAPLACIAN = 16  # the largest dimension in which the Laplacian of the tilt is summed over all coordinates


class Draws(NamedTuple):
    """Random numbers of a step, None where not needed.

    Attributes:
        kick, transport: standard normals ``(G, N, *D)``.
        probes: signs ``(G, M, N, *D)`` for the Laplacian.
        copies: standard normals ``(G, M, N, *D)`` for samples of the posterior.
    """

    kick: Tensor | None = None
    probes: Tensor | None = None
    copies: Tensor | None = None
    transport: Tensor | None = None


class Step(NamedTuple):
    """A step that is about to be taken.

    Attributes:
        interval: from when to when.
        needs: what it uses.
        draws: its random numbers; the kick is None where epsilon is zero at the end of the step.
    """

    interval: Interval
    needs: Needs
    draws: Draws


class Moved(NamedTuple):
    """Where a move ended.

    Attributes:
        x: new positions, ``(G, N, *D)``.
        kicked: where the transport began, ``(G, N, *D)``.
        velocity: ``b_t`` of the start, or None where nothing needed it.
        guidance: g, or None for zero.
        seen: where the transport asked for the velocity, or None where it did not.
        denoised: the clean sample that it saw, for the next step, or None for transports that do not look back.
    """

    x: Tensor
    kicked: Tensor
    velocity: Tensor | None
    guidance: Tensor | None
    seen: Seen | None = None
    denoised: Tensor | None = None


@dataclass(frozen=True)
class Dynamics:
    """Tilted dynamics, and the weights that belong to them.

    Attributes:
        model: the base velocity.
        tilt: the tilt.
        epsilon: the noise schedule.
        guidance: what is added to the drift, or None.
        weights: what such a move is worth.
        transport: how particles follow the base ODE.
        field: the velocity that particles follow in the place of the model's own, or None.
        chi: the schedule of the extra drift.
        window: the steps in which guidance acts.
        hutchinson: probes for the Laplacian where the dimension is above ``EXACT_LAPLACIAN``.

    Raises:
        ValueError: if the parts do not fit together.
    """

    model: Velocity
    tilt: Tilt
    epsilon: Epsilon
    guidance: Guidance | None
    weights: Weights
    transport: Transport
    field: Field | None = None
    chi: Chi = ZeroChi()
    window: Window = Window()
    hutchinson: int = 8

    def __post_init__(self) -> None:
        whole_number("sampler.probes", self.hutchinson, 1)
        if self.field is not None and not self.transport.follows:
            raise ValueError("sampler.transport=flowmap: follows the model, and the mode does not; use euler")

    def moves(self, last: Interval) -> Moves:
        """The kind of its moves, for the weights; ``last`` is the last step."""
        invariant = self.guidance is not None and self.guidance.invariant and self.window.whole
        growth = self.transport.growth
        free = growth is not None and growth.gap_needs.rate and not self.epsilon.vanishes
        order = self.transport.order
        return Moves(self.tilt.look_ahead, invariant, self.epsilon, self.chi, last, growth is not None, free, order)

    def interval(self, t: float, t_next: float) -> Interval:
        """The step from t to t_next."""
        epsilon, chi = self.epsilon(t_next), self.chi(t_next)
        guided = self.guidance is not None and self.window.holds(t) and epsilon + chi > 0
        return Interval(t, t_next, epsilon, chi, self.tilt.strength(t), self.tilt.strength(t_next), guided)

    def needs(self, interval: Interval) -> Needs:
        """What a step uses: the joined needs of all of its parts."""
        weights = self.weights.needs(interval)
        growth = self.transport.growth
        return (
            weights
            | self.transport.needs(interval)
            | (self.guidance.needs if self.guidance is not None and interval.guided else NOTHING)
            | (self.field.needs if self.field is not None else NOTHING)
            | (growth.gap_needs if growth is not None and weights.gap else NOTHING)
        )

    def probes(self, needs: Needs) -> int:
        """How many sign vectors each particle needs in a step."""
        return self.hutchinson if needs.laplacian and math.prod(self.model.shape) > EXACT_LAPLACIAN else 0

    def evaluate(self, x: Tensor, t: float, needs: Needs) -> TiltValue:
        """The tilt at ``x (G, N, *D)``, with what the step that starts there needs of it."""
        return self.tilt.evaluate(x, t, needs.gradient, needs.rate)

    def velocity(self, x: Tensor, t: float) -> Tensor:
        """``b_t(x)``, ``(G, N, *D)``."""
        return self.tilt.batches.velocity(self.model, x, t)

    def move(
        self, x: Tensor, before: TiltValue, step: Step, share: Tensor | None = None, denoised: Tensor | None = None
    ) -> Moved:
        """Move ``x (G, N, *D)``, whose tilt is ``before``.

        Args:
            x: positions.
            before: the tilt there.
            step: the step.
            share: how much of the tilt is in force, ``(G,)``; None for all of it.
            denoised: the clean sample that the last step saw, ``(G, N, *D)``, or None.
        """
        interval, needs, draws = step
        t, dt, epsilon, chi = interval.t, interval.dt, interval.epsilon, interval.chi
        if (draws.kick is None) != (epsilon == 0):
            raise ValueError(f"a step with epsilon {epsilon:g} needs {'no' if epsilon == 0 else 'a'} draw of noise")
        follow = partial(self._followed, draws=draws)
        velocity, guidance, pushes = before.velocity if self.field is None else None, None, list[Tensor]()
        if velocity is None and needs.velocity:
            velocity = follow(x, t)
        if interval.guided:
            assert self.guidance is not None
            gradient = before.gradient
            if share is not None and gradient is not None:
                gradient = gradient * columns(share, gradient)
            vantage = Vantage(x, t, gradient, velocity, draws.copies, before.sample, self.velocity, self.tilt)
            guidance = self.guidance(vantage)
            pushes.append(dt * (epsilon + chi) * guidance)
        if draws.kick is not None:
            pushes.append(math.sqrt(2 * epsilon * dt) * draws.kick)
        start = Departure(x, velocity, denoised, before.sample, tuple(pushes), draws.transport)
        end = self.transport.move(start, interval, follow, self.tilt.batches)
        return Moved(end.x, end.kicked, velocity, guidance, end.seen, end.denoised)

    def _followed(self, x: Tensor, t: float, draws: Draws) -> Tensor:
        """The velocity that particles follow."""
        if self.field is None:
            return self.velocity(x, t)
        return self.field.velocity(x, t, self.velocity, self.tilt, draws.copies)

    def weigh(
        self, x: Tensor, moved: Moved, before: TiltValue, after: TiltValue, values: tuple[Tensor, Tensor], step: Step
    ) -> Increment:
        """What the move from ``x (G, N, *D)`` adds to the log-weights.

        Args:
            x: positions before the move.
            moved: the move.
            before, after: the tilt before and after it.
            values: that of the path before and after it, ``(G, N)`` in float64.
            step: the step.
        """
        interval, needs, draws = step
        carried, growth = Carried(moved.kicked, moved.velocity, before, after), self.transport.growth
        work = growth.work(carried, interval) if growth is not None and needs.work else None
        gap = growth.gap(carried, interval, self.tilt) if growth is not None and needs.gap else None
        change = values[1] - values[0] if needs.change else None
        laplacian = self.tilt.laplacian(x, interval.t, draws.probes) if needs.laplacian else None
        move = Move(
            interval,
            x,
            moved.velocity,
            moved.guidance,
            draws.kick,
            before,
            after,
            change,
            work,
            gap,
            laplacian,
            moved.seen,
        )
        return self.weights.increment(move)
