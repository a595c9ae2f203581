"""The move and its weight, which have one owner.

A step of ``dx = [b + eps s + (eps + chi) g] dt + sqrt(2 eps) dW``, with g the guidance, and the increment of the
log-weight that makes exactly this move sample the tilted law: all that is not b, by Euler-Maruyama, then the transport
along b (:mod:`fmtt.step.transport`). Epsilon and chi are taken at the end of each step, so that a schedule that
vanishes at t = 1 leaves no noise in what is returned, and ``eps s`` is formed from ``E[x_0 | x_t]``, so that the score,
which is singular at t = 1, never is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from fmtt.checks import whole_number
from fmtt.flow.model import Velocity, in_chunks
from fmtt.flow.schedules import Chi, Epsilon, ZeroChi
from fmtt.step.field import Field, ModelField
from fmtt.step.guidance import Guidance, Vantage
from fmtt.step.potentials import Difference, Potential
from fmtt.step.transport import AlongOde, Step, Transport
from fmtt.step.weights import Increment, Weights
from fmtt.tilt.tilt import Tilt, TiltValue

EXACT_LAPLACIAN = 16  # the largest dimension in which the Laplacian of the tilt is summed over all coordinates


class Draws(NamedTuple):
    """Random numbers of a step, None where not needed.

    ``noise`` and ``transport`` are ``(G, N, *D)``, ``probes`` and ``look`` are ``(G, M, N, *D)``.
    """

    noise: Tensor | None = None
    probes: Tensor | None = None
    look: Tensor | None = None
    transport: Tensor | None = None


class Move(NamedTuple):
    """New positions ``(G, N, *D)``, the tilt there and the increment of the log-weights."""

    x: Tensor
    tilt: TiltValue
    increment: Increment


@dataclass(frozen=True)
class Dynamics:
    """Tilted dynamics.

    Attributes:
        model: the base velocity.
        tilt: the tilt.
        epsilon: the noise schedule.
        guidance: what is added to the drift.
        weights: what belongs to such a move.
        transport: how particles follow the base ODE.
        field: the velocity that particles follow.
        potential: what the weights follow on the way.
        chi: the schedule of the extra drift.
        hutchinson: probes for the Laplacian where the dimension is above ``EXACT_LAPLACIAN``.

    Raises:
        ValueError: if the weights would be wrong for the moves.
    """

    model: Velocity
    tilt: Tilt
    epsilon: Epsilon
    guidance: Guidance
    weights: Weights
    transport: Transport
    field: Field = ModelField()
    potential: Potential = Difference()
    chi: Chi = ZeroChi()
    hutchinson: int = 8

    def __post_init__(self) -> None:
        whole_number("sampler.probes", self.hutchinson, 1)
        self.weights.check(self.tilt.look_ahead, self.guidance, self.epsilon, self.chi)
        if not (self.field.exact or self.transport.uses_velocity):
            raise ValueError("sampler.transport=flowmap: follows the model, and the mode does not; use euler")
        if self.weights.rates and not isinstance(self.transport, AlongOde):
            raise ValueError(
                "sampler.transport=glass: jumps off the ODE that these weights follow; use mode.weights=kernel"
            )

    @property
    def probes(self) -> int:
        """How many sign vectors each particle needs in a step."""
        exact = math.prod(self.model.shape) <= EXACT_LAPLACIAN
        needed = self.weights.curved and not (self.chi.vanishes or exact)
        return self.hutchinson if needed else 0

    @property
    def looks(self) -> int:
        """How many normal draws each particle needs in a step, beside that of the move."""
        return max(self.field.samples, self.guidance.samples)

    def asks(self, t: float, t_next: float) -> bool:
        """Whether the step from t to t_next needs the tilt at its start."""
        return self.weights.rates or (self.guidance.uses_gradient and self.guided(t, t_next))

    @property
    def needs_rates(self) -> bool:
        """Whether the weights need the rate of the tilt along the ODE: they have no tilt where a transport begins."""
        return self.weights.material and self.transport.uses_velocity

    def look(self, x: Tensor, t: float, t_next: float | None) -> TiltValue:
        """The tilt at ``x (G, N, *D)``; with its gradient and its rate if the step from t to t_next will use them."""
        if t_next is None:
            return self.tilt.evaluate(x, t, gradient=False)
        guides = self.guidance.uses_gradient and self.guided(t, t_next)
        return self.tilt.evaluate(x, t, guides or self.needs_rates, self.needs_rates)

    def guided(self, t: float, t_next: float) -> bool:
        """Whether guidance enters the step from t to t_next."""
        return self.guidance.active(t) and self.epsilon(t_next) + self.chi(t_next) > 0

    def velocity(self, x: Tensor, t: float) -> Tensor:
        """``b_t(x)``, ``(G, N, *D)``, in chunks."""
        return in_chunks(self.model.velocity, x, (t,), self.tilt.chunk)

    def needs_velocity(self, t: float, t_next: float) -> bool:
        """Whether anything in the step from t to t_next uses ``b_t(x)``."""
        guided = self.guided(t, t_next)
        by_weights = guided and self.weights.curved and self.chi(t_next) > 0
        return (
            self.transport.uses_velocity
            or self.epsilon(t_next) > 0
            or by_weights
            or (guided and self.guidance.uses_velocity)
        )

    def step(
        self,
        x: Tensor,
        before: TiltValue,
        times: tuple[float, float, float | None],
        draws: Draws,
        asked: bool = True,
    ) -> Move:
        """One step of ``x (G, N, *D)``, whose tilt is ``before``, from ``times[0]`` to ``times[1]``.

        Args:
            x: positions.
            before: the tilt there.
            times: now, next, and the time after next (None at the end), which decides if the gradient is needed.
            draws: the random numbers; noise is None where epsilon is zero at the end of the step.
            asked: whether anybody wants to know the tilt after the step.
        """
        t, t_next, t_after = times
        dt, epsilon, chi = t_next - t, self.epsilon(t_next), self.chi(t_next)
        if (draws.noise is None) != (epsilon == 0):
            raise ValueError(f"a step with epsilon {epsilon:g} needs {'no' if epsilon == 0 else 'a'} draw of noise")
        velocity, guidance, kicked = before.velocity if self.field.exact else None, None, x
        if velocity is None and self.needs_velocity(t, t_next):
            velocity = self.field.velocity(x, t, self.velocity, self.tilt, draws.look)
        if epsilon > 0:
            assert velocity is not None
            # eps s = -eps E[x_0 | x_t] / (1 - t): t is the start of the step, so that 1 - t is never below dt.
            kicked = kicked - dt * epsilon / (1 - t) * (x - t * velocity)
        if self.guided(t, t_next):
            at = Vantage(x, t, before.gradient, velocity, draws.look, self.velocity, self.tilt)
            guidance = self.guidance(at)
            kicked = kicked + dt * (epsilon + chi) * guidance
        if draws.noise is not None:
            kicked = kicked + math.sqrt(2 * epsilon * dt) * draws.noise
        moved = self.transport.move(kicked, velocity, (t, t_next), self.tilt.chunk, draws.transport)
        after = self.look(moved, t_next, t_after) if asked else before.moved_on()
        if asked and t_after is not None:
            after = self.potential(before, after)
        record = Step(x, velocity, kicked, before, after, guidance, *draws[:2], epsilon, chi, t, t_next, self.transport)
        return Move(moved, after, self.weights.increment(record, self.tilt))
