"""The move and its weight, which have one owner.

A step of Euler-Maruyama for ``dx = [b + eps (s + g)] dt + sqrt(2 eps) dW``, with g the guidance, and the increment
of the log-weight that makes exactly this move sample the tilted law. Epsilon is taken at the end of each step, so
that a schedule that vanishes at t = 1 leaves no noise in what is returned, and ``eps s`` is formed from
``E[x_0 | x_t]``, so that the score, which is singular at t = 1, never is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from fmtt.flow import Velocity
from fmtt.schedules import Epsilon
from fmtt.tilt import Tilt, TiltValue


class Guidance(Protocol):
    """The vector g that the move adds as ``eps g``.

    ``raw`` says that it is ``grad r_t`` itself, which leaves the tilted law invariant together with the noise;
    ``absent`` that it is zero.
    """

    raw: bool
    absent: bool

    def __call__(self, tilt: TiltValue) -> Tensor | None: ...


class NoGuidance:
    """g = 0: the base move."""

    raw, absent = False, True

    def __call__(self, tilt: TiltValue) -> None:
        return None


class TiltGradient:
    """g = grad r_t: the tilted dynamics of FMTT."""

    raw, absent = True, False

    def __call__(self, tilt: TiltValue) -> Tensor | None:
        return tilt.gradient


class Step(NamedTuple):
    """All that a weight may depend on in the step from t to t_next of a population ``(G, N, *D)``.

    Attributes:
        x: positions before the step.
        velocity: ``b_t(x)``.
        before, after: the tilt before and after.
        guidance: g, or None for zero.
        noise: the standard normal draw of the step, or None where epsilon is zero.
        epsilon: eps of the step.
        t, t_next: its ends.
    """

    x: Tensor
    velocity: Tensor
    before: TiltValue
    after: TiltValue
    guidance: Tensor | None
    noise: Tensor | None
    epsilon: float
    t: float
    t_next: float


class Weights(Protocol):
    """Log-weight increments ``(G, N)`` in float64 of a step."""

    def check(self, tilt: Tilt, guidance: Guidance, epsilon: Epsilon) -> None:
        """ValueError if these weights would be wrong for such moves."""
        ...

    def increment(self, step: Step, tilt: Tilt) -> Tensor: ...


class NoWeights:
    """Increment zero: for search and for plain guidance, which are biased by design, and for the base model."""

    def check(self, tilt: Tilt, guidance: Guidance, epsilon: Epsilon) -> None:
        pass

    def increment(self, step: Step, tilt: Tilt) -> Tensor:
        return step.after.reward.new_zeros(step.after.reward.shape)


def require_invariance(name: str, guidance: Guidance, epsilon: Epsilon) -> None:
    """ValueError unless noise and guidance together leave the tilted law invariant."""
    if not (guidance.raw or epsilon.vanishes):
        raise ValueError(
            f"mode.weights={name}: needs the unmodified gradient of the tilt in the move wherever there is noise;"
            " use mode.weights=kernel"
        )


class Jarzynski:
    """The paper's ``dA = beta'(t) scale r(X_{t,1}(x_t)) dt``, integrated over a step by the trapezoidal rule.

    Right for a transported look-ahead and the unmodified gradient, up to the error of the time step.
    """

    def check(self, tilt: Tilt, guidance: Guidance, epsilon: Epsilon) -> None:
        if not tilt.look_ahead.transported:
            raise ValueError(
                "mode.weights=jarzynski: right only for a flow map, and the look-ahead"
                f" {type(tilt.look_ahead).__name__} is not one; use mode.weights=material or kernel"
            )
        require_invariance("jarzynski", guidance, epsilon)

    def increment(self, step: Step, tilt: Tilt) -> Tensor:
        rise = tilt.strength(step.t_next) - tilt.strength(step.t)
        return rise * (step.before.reward + step.after.reward) / 2


class Material(Jarzynski):
    """Jarzynski weights for any look-ahead: adds ``beta scale grad r(L) . (d_t L + (grad L) b) dt``.

    Costs one forward-mode derivative; right also for a learned flow map that is not quite transported.
    """

    def check(self, tilt: Tilt, guidance: Guidance, epsilon: Epsilon) -> None:
        require_invariance("material", guidance, epsilon)

    def increment(self, step: Step, tilt: Tilt) -> Tensor:
        gap = tilt.transport_gap(step.x, step.t, step.velocity)
        return super().increment(step, tilt) + tilt.ramp(step.t) * (step.t_next - step.t) * gap


class Kernel:
    """Ratio of the base and the guided Gaussian kernels, times ``exp(r_{k+1} - r_k)``.

    With drift ``eps g``, noise xi and step dt:
    ``r_{k+1}(x_{k+1}) - r_k(x_k) - sqrt(eps dt / 2) g.xi - eps dt |g|^2 / 4``. Exact for the discretised base chain,
    for any number of steps, any look-ahead and any guidance, clipped, normalised or none at all.
    """

    def check(self, tilt: Tilt, guidance: Guidance, epsilon: Epsilon) -> None:
        pass

    def increment(self, step: Step, tilt: Tilt) -> Tensor:
        change = step.after.value - step.before.value
        if step.guidance is None or step.noise is None:
            return change
        g, xi = step.guidance.flatten(2), step.noise.flatten(2)
        variance = step.epsilon * (step.t_next - step.t)
        return change - math.sqrt(variance / 2) * (g * xi).sum(-1).double() - variance / 4 * g.square().sum(-1).double()


class Move(NamedTuple):
    """New positions ``(G, N, *D)``, the tilt there and the increment of the log-weights ``(G, N)``."""

    x: Tensor
    tilt: TiltValue
    increment: Tensor


@dataclass(frozen=True)
class Dynamics:
    """Tilted Euler-Maruyama dynamics.

    Attributes:
        model: the base velocity.
        tilt: the tilt.
        epsilon: the noise schedule.
        guidance: what is added to the drift.
        weights: what belongs to such a move.

    Raises:
        ValueError: if the weights would be wrong for the moves.
    """

    model: Velocity
    tilt: Tilt
    epsilon: Epsilon
    guidance: Guidance
    weights: Weights

    def __post_init__(self) -> None:
        self.weights.check(self.tilt, self.guidance, self.epsilon)

    def look(self, x: Tensor, t: float, t_next: float | None) -> TiltValue:
        """The tilt at ``x (G, N, *D)``; with its gradient if the step from t to t_next will use it."""
        guided = not self.guidance.absent and t_next is not None and self.epsilon(t_next) > 0
        return self.tilt.evaluate(x, t, gradient=guided)

    def velocity(self, x: Tensor, t: float) -> Tensor:
        """``b_t(x)``, ``(G, N, *D)``, in chunks."""
        flat = x.flatten(0, 1)
        parts = [self.model.velocity(part, part.new_full(part.shape[:1], t)) for part in flat.split(self.tilt.chunk)]
        return torch.cat(parts).reshape(x.shape)

    def step(
        self, x: Tensor, before: TiltValue, times: tuple[float, float, float | None], noise: Tensor | None
    ) -> Move:
        """One step of ``x (G, N, *D)``, whose tilt is ``before``, from ``times[0]`` to ``times[1]``.

        Args:
            x: positions.
            before: the tilt there.
            times: now, next, and the time after next (None at the end), which decides if the gradient is needed.
            noise: a standard normal draw like x; None where epsilon is zero at the end of the step.
        """
        t, t_next, t_after = times
        dt, epsilon = t_next - t, self.epsilon(t_next)
        if (noise is None) != (epsilon == 0):
            raise ValueError(f"a step with epsilon {epsilon:g} needs {'no' if epsilon == 0 else 'a'} draw of noise")
        velocity = before.velocity if before.velocity is not None else self.velocity(x, t)
        guidance = self.guidance(before) if epsilon > 0 else None
        drift = velocity
        if epsilon > 0:
            # eps s = -eps E[x_0 | x_t] / (1 - t): t is the start of the step, so that 1 - t is never below dt.
            drift = drift - epsilon / (1 - t) * (x - t * velocity)
        if guidance is not None:
            drift = drift + epsilon * guidance
        moved = x + dt * drift
        if noise is not None:
            moved = moved + math.sqrt(2 * epsilon * dt) * noise
        after = self.look(moved, t_next, t_after)
        record = Step(x, velocity, before, after, guidance, noise, epsilon, t, t_next)
        return Move(moved, after, self.weights.increment(record, self.tilt))
