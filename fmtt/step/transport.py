"""The transport of a step along the base ODE, and how the growth of the tilt along it is measured.

A step is a *kick* (:mod:`fmtt.step.kick`), which keeps the law that the particles have at time t, and a transport to
the next time, in which the tilt grows. How exactly the transport follows the ODE decides how the growth of the tilt,
which is the work of the short weights, is measured.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple, Protocol

from torch import Tensor

from fmtt.checks import whole_number
from fmtt.flow.batches import Batches
from fmtt.flow.protocols import Velocity, refuse_data_only, require_flow_map, require_velocity
from fmtt.step.interval import Interval
from fmtt.step.kick import Seen, kicked
from fmtt.step.needs import NOTHING, Needs
from fmtt.tilt.tilt import Tilt, TiltValue

Follow = Callable[[Tensor, float], Tensor]
"""The velocity that particles follow: ``(G, N, *D)`` and the time to ``(G, N, *D)``."""

VELOCITY = Needs(velocity=True)


class Departure(NamedTuple):
    """Where a step begins, and what takes particles off the base ODE in it.

    Attributes:
        x: positions, ``(G, N, *D)``.
        velocity: ``b_t(x)``, or None where the transport does not need it.
        denoised: the clean sample that the last step saw, ``(G, N, *D)``; None in the first step, and after transports
            that do not look back.
        landing: where the look-ahead sees them land, ``(G, N, *D)``, or None where the tilt was not asked for.
        pushes: the displacements by guidance and by noise, ``(G, N, *D)`` each.
        draw: standard normals ``(G, N, *D)`` for stochastic transports, else None.
    """

    x: Tensor
    velocity: Tensor | None
    denoised: Tensor | None
    landing: Tensor | None
    pushes: tuple[Tensor, ...]
    draw: Tensor | None

    def seen(self, t: float) -> Seen | None:
        """The velocity at the start of the step, which is at ``t``; None where it is not known."""
        return None if self.velocity is None else Seen(self.x, t, self.velocity)


class Arrival(NamedTuple):
    """Where a step ended.

    Attributes:
        x: positions, ``(G, N, *D)``.
        kicked: where the transport began, ``(G, N, *D)``.
        seen: where the step asked for the velocity, or None where it did not.
        denoised: the clean sample that it saw, for the next step, or None for transports that do not look back.
    """

    x: Tensor
    kicked: Tensor
    seen: Seen | None = None
    denoised: Tensor | None = None


class Carried(NamedTuple):
    """What is known of a transport when it has ended.

    Attributes:
        kicked: where it began, ``(G, N, *D)``.
        velocity: ``b_t(x)`` at the start of the step, or None.
        before, after: the tilt at the start and at the end of the step.
    """

    kicked: Tensor
    velocity: Tensor | None
    before: TiltValue
    after: TiltValue


class Growth(Protocol):
    """How the growth of the tilt along a transport is measured; ``gap_needs`` says what :meth:`gap` uses."""

    @property
    def gap_needs(self) -> Needs: ...

    def work(self, carried: Carried, interval: Interval) -> Tensor:
        """``int beta'(t) scale r(L_t(x_t)) dt`` over the step, ``(G, N)`` in float64."""
        ...

    def gap(self, carried: Carried, interval: Interval, tilt: Tilt) -> Tensor:
        """``int beta(t) scale (d_t + b . grad) r(L_t(x_t)) dt``: zero for an exact flow map; ``(G, N)`` in float64."""
        ...


class Transport(Protocol):
    """Transport of a population ``(G, N, *D)`` from the law of one time to that of the next.

    Attributes:
        stochastic: whether it uses a normal draw.
        follows: whether it goes along the velocity that it is given, so that a mode may give it another one.
        growth: how the growth of the tilt along it is measured; None if it does not follow the base ODE.
        faithful: whether its steps without guidance have the law of the model as they get short; weights need that.
        order: that of the error of a step without guidance, the kick included.
    """

    @property
    def order(self) -> int: ...

    @property
    def stochastic(self) -> bool: ...

    @property
    def follows(self) -> bool: ...

    @property
    def growth(self) -> Growth | None: ...

    @property
    def faithful(self) -> bool: ...

    def needs(self, interval: Interval) -> Needs:
        """What a step uses of it."""
        ...

    def move(self, start: Departure, interval: Interval, follow: Follow, batches: Batches) -> Arrival:
        """The whole step: the kick, and where it is carried over the interval."""
        ...


class AtBothEnds:
    """Growth by the values and rates at the ends of the step, for a transport of first order."""

    gap_needs = Needs(tilt=True, gradient=True, rate=True, velocity=True)

    def work(self, carried: Carried, interval: Interval) -> Tensor:
        """By the trapezoidal rule."""
        return interval.rise * (carried.before.reward + carried.after.reward) / 2

    def gap(self, carried: Carried, interval: Interval, tilt: Tilt) -> Tensor:
        """By its rate at the start of the step."""
        gradient, rate = carried.before.gradient, carried.before.rate
        assert carried.velocity is not None and gradient is not None and rate is not None
        return interval.dt * (rate + (gradient * carried.velocity).flatten(2).sum(-1).double())


class AtTheEnd:
    """Growth where the transport ends, for a transport that is exact.

    The tilt is known where the transport ends, so that work and gap are differences of it rather than rates: exact
    for the model whose particles the flow map carries.
    """

    gap_needs = NOTHING

    def work(self, carried: Carried, interval: Interval) -> Tensor:
        return interval.rise * carried.after.reward

    def gap(self, carried: Carried, interval: Interval, tilt: Tilt) -> Tensor:
        """By calling the look-ahead where the transport begins."""
        start = tilt.evaluate(carried.kicked, interval.t, gradient=False)
        return interval.strength * (carried.after.reward - start.reward)


class Euler:
    """``x + dt b_t(x)``: one evaluation, which the score shares; of first order in the step."""

    stochastic, follows, growth, faithful, order = False, True, AtBothEnds(), True, 1

    def __init__(self, model: Velocity):
        pass

    def needs(self, interval: Interval) -> Needs:
        return VELOCITY

    def move(self, start: Departure, interval: Interval, follow: Follow, batches: Batches) -> Arrival:
        seen = start.seen(interval.t)
        assert seen is not None
        moved = kicked(start.x, seen, start.pushes, interval)
        return Arrival(moved + interval.dt * seen.velocity, moved, seen)


class FlowMapTransport:
    """``X_{t,t_next}``: one evaluation more than :class:`Euler`, and no error of the time step, however long it is.

    Raises:
        ValueError: if the model has no flow map.
    """

    stochastic, follows, growth, faithful, order = False, False, AtTheEnd(), True, 1

    def __init__(self, model: Velocity):
        self.model = require_flow_map(model, "sampler.transport=flowmap", "euler")
        refuse_data_only(model, "sampler.transport=flowmap", "sampler/transport=euler")

    def needs(self, interval: Interval) -> Needs:
        return for_the_kick(interval)

    def move(self, start: Departure, interval: Interval, follow: Follow, batches: Batches) -> Arrival:
        seen = start.seen(interval.t)
        moved = kicked(start.x, seen, start.pushes, interval)
        return Arrival(batches.flow_map(self.model, moved, interval.t, interval.t_next), moved, seen)


class Glass:
    """A draw of ``x_{t_next}`` given ``x_t`` by an inner ODE in ``steps`` Euler steps (GLASS flows, arXiv 2509.25170).

    Noise without the error of an SDE's step: as the inner steps get short, the transition is exact for every outer one.
    The noise of x_t and that of x_{t_next} have the correlation of the process that noises the data step by step,
    ``t (1 - t') / (t' (1 - t))``. For weights it is a base kernel without guidance.

    In the inner ODE, ``Y_u`` goes from ``gamma x + S_0 e`` to the sample. With ``a, c = t, 1 - t``, likewise a', c' at
    t', ``gamma = rho c'/c``, ``abar = a' - gamma a``, ``cbar = c' sqrt(1 - rho^2)`` and ``S = (1-u) S_0 + u cbar``:

        y = Y - gamma x,  P = a^2/c^2 + (u abar)^2/S^2,  m = (a x/c^2 + u abar y/S^2)/P,  tau = 1/(1 + P^(-1/2)),
        E = den_tau(tau m),   dY/du = abar E + (cbar - S_0) (y - u abar E)/S.
    """

    stochastic, follows, growth, faithful, order = True, False, None, True, 1

    def __init__(self, model: Velocity, steps: int = 4):
        self.model = require_velocity(model, "sampler.transport=glass", "flowmap with sampler.epsilon=zero")
        self.steps = whole_number("sampler.transport.steps", steps, 1)

    def needs(self, interval: Interval) -> Needs:
        return for_the_kick(interval)

    def move(self, start: Departure, interval: Interval, follow: Follow, batches: Batches) -> Arrival:
        seen, draw = start.seen(interval.t), start.draw
        moved = kicked(start.x, seen, start.pushes, interval)
        assert draw is not None
        (a, c), (a_next, c_next) = ((t, 1 - t) for t in (interval.t, interval.t_next))
        rho = a * c_next / (a_next * c)
        gamma, first, last = rho * c_next / c, 1.0, c_next * math.sqrt(1 - rho**2)
        abar, y = a_next - gamma * a, first * draw  # y = Y - gamma x
        for k in range(self.steps):
            u = k / self.steps
            spread = (1 - u) * first + u * last
            precision = (a / c) ** 2 + (u * abar / spread) ** 2
            if precision == 0:  # nothing is known: the mean of the data, which the model gives at t = 0 for any x
                tau, at = 0.0, draw
            else:
                tau = 1 / (1 + precision**-0.5)
                at = tau * (a / c**2 * moved + u * abar / spread**2 * y) / precision
            clean = at + (1 - tau) * batches.velocity(self.model, at, tau)
            y = y + (abar * clean + (last - first) * (y - u * abar * clean) / spread) / self.steps
        return Arrival(gamma * moved + y, moved, seen)


def for_the_kick(interval: Interval) -> Needs:
    """The velocity, if there is noise: the score is made of it."""
    return VELOCITY if interval.epsilon > 0 else NOTHING
