"""What a move is worth: increments of the log-weights that make exactly this move sample the tilted law.

With the move ``dx = [b + eps s + (eps + chi) g] dt + sqrt(2 eps) dW`` and r_t the tilt (see :mod:`fmtt.step.dynamics`).
How work and gap are measured is the transport's business (:mod:`fmtt.step.transport`).
"""

from __future__ import annotations

import math
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from fmtt.flow.schedules import Chi, Epsilon
from fmtt.step.guidance import Guidance
from fmtt.step.transport import AlongOde, Step
from fmtt.tilt.look_ahead import LookAhead
from fmtt.tilt.tilt import Tilt


class Increment(NamedTuple):
    """What a step adds to the log-weights, and what the weights know of its errors.

    Attributes:
        log_weights: ``(G, N)`` in float64.
        transport_gap: the part of it that an exact flow map would not have, ``(G, N)``, or None if it is not known.
        overshoot: see :func:`overshoot`, or None for weights that do not rely on the kick's balance.
    """

    log_weights: Tensor
    transport_gap: Tensor | None = None
    overshoot: Tensor | None = None


class Weights(Protocol):
    """Log-weight increments of a step.

    ``curved`` says that a drift ``chi g`` needs the Laplacian of the tilt; ``rates`` that increments are rates along
    the way, so that the tilt must be known after every step, and not only where somebody asks; ``material`` that they
    need the rate of the tilt, too.
    """

    curved: bool
    rates: bool
    material: bool

    def start(self, log_weights: Tensor) -> Tensor:
        """What becomes of the log-weights ``(G, N)`` that the noise has under the tilt that is in force at t = 0."""
        ...

    def check(self, look_ahead: LookAhead, guidance: Guidance, epsilon: Epsilon, chi: Chi) -> None:
        """ValueError if these weights would be wrong for such moves."""
        ...

    def increment(self, step: Step, tilt: Tilt) -> Increment: ...


class NoWeights:
    """Increment zero: for search and for plain guidance, which are biased by design, and for the base model."""

    curved = rates = material = False

    def start(self, log_weights: Tensor) -> Tensor:
        return torch.zeros_like(log_weights)

    def check(self, look_ahead: LookAhead, guidance: Guidance, epsilon: Epsilon, chi: Chi) -> None:
        pass

    def increment(self, step: Step, tilt: Tilt) -> Increment:
        return Increment(step.after.reward.new_zeros(step.after.reward.shape))


def require_invariance(name: str, guidance: Guidance, epsilon: Epsilon, chi: Chi) -> None:
    """ValueError unless noise and guidance together leave the tilted law invariant."""
    if not guidance.raw and not (epsilon.vanishes and chi.vanishes):
        raise ValueError(
            f"mode.weights={name}: needs the unmodified gradient of the tilt in the move wherever there is noise;"
            " use mode.weights=kernel"
        )


class Jarzynski:
    """The paper's ``dA = beta'(t) scale r(X_{t,1}(x_t)) dt``.

    A drift ``chi grad r_t`` adds ``chi (lap r_t + grad r_t . (s_t + grad r_t)) dt`` (Cor. A.2). Right for a
    transported look-ahead and the unmodified gradient, up to the error of the time step.
    """

    curved = rates = True
    material = False

    def start(self, log_weights: Tensor) -> Tensor:
        return log_weights

    def check(self, look_ahead: LookAhead, guidance: Guidance, epsilon: Epsilon, chi: Chi) -> None:
        if not look_ahead.transported:
            raise ValueError(
                "mode.weights=jarzynski: right only for a flow map, and the look-ahead"
                f" {type(look_ahead).__name__} is not one; use mode.weights=material or kernel"
            )
        require_invariance("jarzynski", guidance, epsilon, chi)

    def increment(self, step: Step, tilt: Tilt) -> Increment:
        assert isinstance(step.transport, AlongOde)
        work = step.transport.work(step, tilt)
        if step.guidance is not None and step.chi > 0:
            work = work + dissipation(step, tilt)
        return Increment(work, overshoot=overshoot(step))


def overshoot(step: Step) -> Tensor:
    """``eps dt |s_t + g|^2 / (2 d)``, ``(G, N)``: about the share by which a kick inflates the variance.

    A kick keeps the law of time t only in the limit of short steps. On a Gaussian of variance v, Euler-Maruyama has
    the stationary variance ``v / (1 - h / 2v)`` with ``h = eps dt``, and ``h |s|^2 / 2d`` has the mean ``h / 2v``.
    Where it is not small, particles jump over what they should slide into, and short weights are wrong.
    """
    if step.velocity is None or step.epsilon == 0:
        return torch.zeros_like(step.after.reward)
    slope = step.score if step.guidance is None else step.score + step.guidance
    return step.epsilon * (step.t_next - step.t) / 2 * slope.flatten(2).square().mean(-1).double()


def dissipation(step: Step, tilt: Tilt) -> Tensor:
    """``chi (lap r_t + grad r_t . (s_t + grad r_t)) dt`` for the drift ``chi grad r_t``, ``(G, N)``."""
    gradient = step.before.gradient
    assert gradient is not None
    inner = (gradient * (step.score + gradient)).flatten(2).sum(-1).double()
    return step.chi * (step.t_next - step.t) * (tilt.laplacian(step.x, step.t, step.probes) + inner)


class Material(Jarzynski):
    """Jarzynski weights for any look-ahead: adds ``beta scale grad r(L) . (d_t L + (grad L) b) dt``.

    Costs nothing where the gradient guides, since the backward pass that finds it has ``d_t``, too; with the transport
    ``flowmap`` one more look. Right also for a learned flow map that is not quite transported.
    """

    material = True

    def check(self, look_ahead: LookAhead, guidance: Guidance, epsilon: Epsilon, chi: Chi) -> None:
        require_invariance("material", guidance, epsilon, chi)

    def increment(self, step: Step, tilt: Tilt) -> Increment:
        assert isinstance(step.transport, AlongOde)
        gap = step.transport.gap(step, tilt)
        short = super().increment(step, tilt)
        return Increment(short.log_weights + gap, gap, short.overshoot)


class Kernel:
    """Ratio of the base and the guided Gaussian kernels, times ``exp(r_{k+1} - r_k)``.

    With drift ``w = (eps + chi) g``, noise xi and step dt:
    ``r_{k+1}(x_{k+1}) - r_k(x_k) - sqrt(dt / (2 eps)) w.xi - dt |w|^2 / (4 eps)``. Exact for the discretised base
    chain, for any number of steps, any look-ahead and any guidance, clipped, normalised or none at all.
    """

    curved = rates = material = False

    def start(self, log_weights: Tensor) -> Tensor:
        return log_weights

    def check(self, look_ahead: LookAhead, guidance: Guidance, epsilon: Epsilon, chi: Chi) -> None:
        if not chi.vanishes and (epsilon.vanishes or (guidance.active(0.999) and epsilon(1.0) == 0 != chi(1.0))):
            raise ValueError(
                "mode.weights=kernel: needs noise wherever chi guides; use mode.weights=material, or a"
                " sampler.epsilon that does not vanish before sampler.chi does"
            )

    def increment(self, step: Step, tilt: Tilt) -> Increment:
        change = step.after.value - step.before.value
        if step.guidance is None or step.noise is None:
            return Increment(change)
        w, xi = (step.epsilon + step.chi) * step.guidance.flatten(2), step.noise.flatten(2)
        ratio = (step.t_next - step.t) / (2 * step.epsilon)
        cross, square = (w * xi).sum(-1).double(), w.square().sum(-1).double()
        return Increment(change - math.sqrt(ratio) * cross - ratio / 2 * square)
