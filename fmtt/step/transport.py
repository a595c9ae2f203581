"""One step of the dynamics, and the two ways of its transport along the base ODE.

A step is a *kick* ``dt [eps s + (eps + chi) g] + sqrt(2 eps dt) xi``, which keeps the law that the particles have at
time t, and a transport to the next time, in which the tilt grows. How exactly the transport follows the ODE decides
how the growth of the tilt, which is the work of the short weights, is measured.
"""

from __future__ import annotations

import math
from typing import NamedTuple, Protocol, runtime_checkable

from torch import Tensor

from fmtt.checks import whole_number
from fmtt.flow.model import Velocity, in_chunks, require_flow_map
from fmtt.tilt.tilt import Tilt, TiltValue


class Step(NamedTuple):
    """All that a weight may depend on in the step from t to t_next of a population ``(G, N, *D)``.

    Attributes:
        x: positions before the step.
        velocity: ``b_t(x)``, or None where nothing in the step needs it.
        kicked: x plus the kick.
        before, after: the tilt before and after.
        guidance: g, or None for zero.
        noise: the standard normal draw of the step, or None where epsilon is zero.
        probes: signs for the Laplacian, ``(G, M, N, *D)``, or None if it is exact or not needed.
        epsilon, chi: those of the step.
        t, t_next: its ends.
        transport: how it was carried from the one to the other.
    """

    x: Tensor
    velocity: Tensor | None
    kicked: Tensor
    before: TiltValue
    after: TiltValue
    guidance: Tensor | None
    noise: Tensor | None
    probes: Tensor | None
    epsilon: float
    chi: float
    t: float
    t_next: float
    transport: Transport

    @property
    def score(self) -> Tensor:
        """``s_t(x)``, from the velocity at the start of the step, where ``1 - t`` is never below dt."""
        assert self.velocity is not None
        return (self.t * self.velocity - self.x) / (1 - self.t)


class Transport(Protocol):
    """Transport of a population ``(G, N, *D)`` from the law of one time to that of the next.

    ``uses_velocity`` says that it needs ``b_t(x)``; ``stochastic`` that it needs a normal draw.
    """

    uses_velocity: bool
    stochastic: bool

    def move(
        self, kicked: Tensor, velocity: Tensor | None, times: tuple[float, float], chunk: int, draw: Tensor | None
    ) -> Tensor:
        """Where ``kicked`` is carried from ``times[0]`` to ``times[1]``; the model sees at most ``chunk`` at once.

        ``draw (G, N, *D)`` is the normal draw of a stochastic transport.
        """
        ...


@runtime_checkable
class AlongOde(Transport, Protocol):
    """A transport that follows the base ODE, so that work and gap are defined on its way."""

    def work(self, step: Step, tilt: Tilt) -> Tensor:
        """``int beta'(t) scale r(L_t(x_t)) dt`` over the step, ``(G, N)`` in float64."""
        ...

    def gap(self, step: Step, tilt: Tilt) -> Tensor:
        """``int beta(t) scale (d_t + b . grad) r(L_t(x_t)) dt``: zero for an exact flow map; ``(G, N)`` in float64."""
        ...


class Euler:
    """``x + dt b_t(x)``: one evaluation, which the score shares; of first order in the step."""

    uses_velocity, stochastic = True, False

    def __init__(self, model: Velocity):
        pass

    def move(
        self, kicked: Tensor, velocity: Tensor | None, times: tuple[float, float], chunk: int, draw: Tensor | None
    ) -> Tensor:
        assert velocity is not None
        return kicked + (times[1] - times[0]) * velocity

    def work(self, step: Step, tilt: Tilt) -> Tensor:
        """By the trapezoidal rule."""
        rise = tilt.strength(step.t_next) - tilt.strength(step.t)
        return rise * (step.before.reward + step.after.reward) / 2

    def gap(self, step: Step, tilt: Tilt) -> Tensor:
        """By its rate at the start of the step."""
        gradient, rate = step.before.gradient, step.before.rate
        assert step.velocity is not None and gradient is not None and rate is not None
        return (step.t_next - step.t) * (rate + (gradient * step.velocity).flatten(2).sum(-1).double())


class FlowMapTransport:
    """``X_{t,t_next}``: one evaluation more than :class:`Euler`, and no error of the time step, however long it is.

    The tilt is known where the transport ends, so that work and gap are differences of it rather than rates: exact
    for the model whose particles the flow map carries.

    Raises:
        ValueError: if the model has no flow map.
    """

    uses_velocity = stochastic = False

    def __init__(self, model: Velocity):
        self.model = require_flow_map(model, "sampler.transport=flowmap", "euler")

    def move(
        self, kicked: Tensor, velocity: Tensor | None, times: tuple[float, float], chunk: int, draw: Tensor | None
    ) -> Tensor:
        return in_chunks(self.model.flow_map, kicked, times, chunk)

    def work(self, step: Step, tilt: Tilt) -> Tensor:
        return (tilt.strength(step.t_next) - tilt.strength(step.t)) * step.after.reward

    def gap(self, step: Step, tilt: Tilt) -> Tensor:
        """By asking the look-ahead where the transport begins."""
        start = tilt.evaluate(step.kicked, step.t, gradient=False)
        return tilt.strength(step.t) * (step.after.reward - start.reward)


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

    uses_velocity, stochastic = False, True

    def __init__(self, model: Velocity, steps: int = 4):
        self.model, self.steps = model, whole_number("sampler.transport.steps", steps, 1)

    def move(
        self, kicked: Tensor, velocity: Tensor | None, times: tuple[float, float], chunk: int, draw: Tensor | None
    ) -> Tensor:
        assert draw is not None
        (a, c), (a_next, c_next) = ((t, 1 - t) for t in times)
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
                at = tau * (a / c**2 * kicked + u * abar / spread**2 * y) / precision
            clean = at + (1 - tau) * in_chunks(self.model.velocity, at, (tau,), chunk)
            y = y + (abar * clean + (last - first) * (y - u * abar * clean) / spread) / self.steps
        return gamma * kicked + y
