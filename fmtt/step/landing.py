"""The transport of guided steps that goes straight to where the look-ahead lands."""

from __future__ import annotations

from fmtt.flow.batches import Batches
from fmtt.flow.protocols import Velocity
from fmtt.step.interval import Interval
from fmtt.step.kick import kicked
from fmtt.step.needs import TILT, Needs
from fmtt.step.transport import Arrival, Departure, FlowMapTransport, Follow, for_the_kick


class TowardsLanding:
    """``x + dt (L_t(x) - x) / (1 - t)`` in steps that are guided, ``X_{t,t_next}`` in the others (arXiv 2604.27147).

    Guidance has called the look-ahead, so a guided step costs no evaluation of its own. It does not follow the ODE,
    however short it is: no weights are right for it.

    Raises:
        ValueError: if the model has no flow map.
    """

    stochastic, follows, growth, faithful, order = False, False, None, False, 1

    def __init__(self, model: Velocity):
        self.unguided = FlowMapTransport(model)

    def needs(self, interval: Interval) -> Needs:
        return for_the_kick(interval) | TILT if interval.guided else self.unguided.needs(interval)

    def move(self, start: Departure, interval: Interval, follow: Follow, batches: Batches) -> Arrival:
        if not interval.guided:
            return self.unguided.move(start, interval, follow, batches)
        assert start.landing is not None
        seen = start.seen(interval.t)
        moved = kicked(start.x, seen, start.pushes, interval)
        share = interval.dt / (1 - interval.t)
        return Arrival(moved + share * (start.landing - start.x), moved, seen)
