"""What a move is worth: increments of the log-weights that make exactly this move sample the tilted law.

With the move ``dx = [b + eps s + (eps + chi) g] dt + sqrt(2 eps) dW`` and r_t the tilt (see :mod:`fmtt.step.dynamics`).
An increment is a pure function of the move. How work and gap are measured is the transport's business.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from fmtt.flow.schedules import Chi, Epsilon
from fmtt.step.interval import Interval
from fmtt.step.kick import Seen
from fmtt.step.needs import NOTHING, Needs
from fmtt.tilt.look_ahead import LookAhead
from fmtt.tilt.tilt import TiltValue


class Move(NamedTuple):
    """A finished move of a population ``(G, N, *D)``: all that its weight may depend on.

    Attributes:
        interval: the step.
        x: positions before it.
        velocity: ``b_t(x)``, or None where nothing in the step needs it.
        guidance: g, or None for zero.
        noise: the standard normal draw of the kick, or None where epsilon is zero.
        before, after: the tilt before and after.
        change: by how much the value of the path grew, ``(G, N)`` in float64 (:mod:`fmtt.smc.potentials`), for weights
            that need it.
        work: the growth of the tilt along the transport, ``(G, N)``, likewise.
        gap: the part of the tilt's change that an exact flow map would not have, ``(G, N)``, likewise.
        laplacian: ``lap r_t(x)``, ``(G, N)``, likewise.
        seen: where the transport asked for the velocity, or None where it did not.
    """

    interval: Interval
    x: Tensor
    velocity: Tensor | None
    guidance: Tensor | None
    noise: Tensor | None
    before: TiltValue
    after: TiltValue
    change: Tensor | None = None
    work: Tensor | None = None
    gap: Tensor | None = None
    laplacian: Tensor | None = None
    seen: Seen | None = None

    @property
    def score(self) -> Tensor:
        """``s_t(x)``, from the velocity at the start of the step."""
        assert self.velocity is not None
        return Seen(self.x, self.interval.t, self.velocity).score


class Increment(NamedTuple):
    """What a step adds to the log-weights, and what the weights know of its errors.

    Attributes:
        log_weights: ``(G, N)`` in float64.
        transport_gap: the part of it that an exact flow map would not have, ``(G, N)``, or None if it is not known.
        overshoot: computes :func:`overshoot`, or None where the base chain has no error of first order.
        ignored_gap: what right weights would add for the error of a learned flow map, ``(G, N)``, or None.
    """

    log_weights: Tensor
    transport_gap: Tensor | None = None
    overshoot: Callable[[], Tensor] | None = None
    ignored_gap: Tensor | None = None


class Moves(NamedTuple):
    """The kind of moves that weights are asked to fit.

    Attributes:
        look_ahead: where the reward is asked.
        invariant: whether the guidance leaves the tilted law invariant together with the noise, in every step.
        epsilon, chi: the schedules of noise and extra drift.
        last: the last step; the schedules may vanish at its end.
        follows_ode: whether the transport follows the base ODE.
        gap_is_free: whether the gap of the flow map comes with the gradient that guides.
        order: that of the error of a step without guidance.
    """

    look_ahead: LookAhead
    invariant: bool
    epsilon: Epsilon
    chi: Chi
    last: Interval
    follows_ode: bool
    gap_is_free: bool
    order: int


class WeightRule(Protocol):
    """A choice of weights, before the moves are known.

    ``weighted`` says whether there are any; ``invariant`` whether they hold only for moves that leave the tilted law
    invariant.
    """

    @property
    def weighted(self) -> bool: ...

    @property
    def invariant(self) -> bool: ...

    def fitted(self, moves: Moves) -> Weights:
        """The weights for moves of this kind.

        Raises:
            ValueError: if they would be wrong.
        """
        ...


class Weights(WeightRule, Protocol):
    """Log-weight increments of a step."""

    def needs(self, interval: Interval) -> Needs:
        """What a step uses."""
        ...

    def increment(self, move: Move) -> Increment: ...


class NoWeights:
    """Increment zero: for search and for plain guidance, which are biased by design, and for the base model."""

    weighted = invariant = False

    def fitted(self, moves: Moves) -> NoWeights:
        return self

    def needs(self, interval: Interval) -> Needs:
        return NOTHING

    def increment(self, move: Move) -> Increment:
        return Increment(torch.zeros_like(move.after.reward))


@dataclass(frozen=True)
class Jarzynski:
    """The paper's ``dA = beta'(t) scale r(X_{t,1}(x_t)) dt``.

    A drift ``chi grad r_t`` adds ``chi (lap r_t + grad r_t . (s_t + grad r_t)) dt`` (Cor. A.2). Right for a
    transported look-ahead and the unmodified gradient, up to the error of the time step. On a learned flow map they
    are off by its error, which is measured where that costs no evaluation.

    Attributes:
        measured: whether the gap of the flow map is measured in guided steps. It does not enter the weights.
    """

    measured: bool = False
    weighted = invariant = True

    def fitted(self, moves: Moves) -> Jarzynski:
        if not moves.look_ahead.transported:
            raise ValueError(
                "mode.weights=jarzynski: right only for a flow map, and the look-ahead"
                f" {type(moves.look_ahead).__name__} is not one; use mode.weights=material or kernel"
            )
        require_invariance("jarzynski", moves)
        return Jarzynski(measured=moves.gap_is_free and not moves.look_ahead.exact)

    def needs(self, interval: Interval) -> Needs:
        extra = Needs(gradient=True, velocity=True, laplacian=True) if interval.driven else NOTHING
        return Needs(tilt=True, work=True, gap=self.measured and interval.guided) | extra

    def increment(self, move: Move) -> Increment:
        assert move.work is not None
        extra = dissipation(move)
        ignored = torch.zeros_like(move.work) if self.measured and move.gap is None else move.gap
        work = move.work if extra is None else move.work + extra
        return Increment(work, None, partial(overshoot, move), ignored)


@dataclass(frozen=True)
class Material:
    """Jarzynski weights for any look-ahead: adds ``beta scale grad r(L) . (d_t L + (grad L) b) dt``.

    Costs nothing where the gradient guides, since the backward pass that finds it has ``d_t``, too; with the transport
    ``flowmap`` one more look-ahead. Right also for a learned flow map that is not quite transported.
    """

    weighted = invariant = True

    def fitted(self, moves: Moves) -> Material:
        require_invariance("material", moves)
        return self

    def needs(self, interval: Interval) -> Needs:
        return Jarzynski().needs(interval) | Needs(gap=True)

    def increment(self, move: Move) -> Increment:
        assert move.gap is not None
        short = Jarzynski().increment(move)
        return Increment(short.log_weights + move.gap, move.gap, short.overshoot)


@dataclass(frozen=True)
class Kernel:
    """Ratio of the base and the guided Gaussian kernels, times ``exp(r_{k+1} - r_k)``.

    With drift ``w = (eps + chi) g`` and noise xi: ``r_{k+1}(x_{k+1}) - r_k(x_k) - sqrt(dt / (2 eps)) w.xi
    - dt |w|^2 / (4 eps)``. Exact for the discretised base chain, for any steps, look-ahead and guidance.

    Attributes:
        measured: whether the overshoot of the kicks of the base chain is measured. It does not enter the weights.
    """

    measured: bool = False
    weighted, invariant = True, False

    def fitted(self, moves: Moves) -> Kernel:
        if not moves.chi.vanishes and (moves.epsilon.vanishes or (moves.last.guided and moves.last.epsilon == 0)):
            raise ValueError(
                "mode.weights=kernel: needs noise wherever chi guides; use mode.weights=material, or a"
                " sampler.epsilon that does not vanish before sampler.chi does"
            )
        return replace(self, measured=moves.order == 1)

    def needs(self, interval: Interval) -> Needs:
        return Needs(change=True)

    def increment(self, move: Move) -> Increment:
        assert move.change is not None
        measure = partial(overshoot, move._replace(guidance=None)) if self.measured else None
        if move.guidance is None or move.noise is None:
            return Increment(move.change, overshoot=measure)
        epsilon = move.interval.epsilon
        w, xi = (epsilon + move.interval.chi) * move.guidance.flatten(2), move.noise.flatten(2)
        ratio = move.interval.dt / (2 * epsilon)
        cross, square = (w * xi).sum(-1).double(), w.square().sum(-1).double()
        return Increment(move.change - math.sqrt(ratio) * cross - ratio / 2 * square, overshoot=measure)


@dataclass(frozen=True)
class Fitting:
    """Weights that are right for the moves: ``jarzynski`` for an exact flow map, ``material`` for a learned one.

    ``kernel`` for other look-aheads and for altered gradients with noise; ``material`` for those without noise.
    """

    weighted, invariant = True, False

    def fitted(self, moves: Moves) -> Weights:
        balanced = moves.follows_ode and (moves.invariant or moves.epsilon.vanishes)
        if moves.look_ahead.transported and balanced:
            chosen: Weights = Jarzynski() if moves.look_ahead.exact else Material()
        else:
            chosen = Material() if moves.epsilon.vanishes and moves.follows_ode else Kernel()
        return chosen.fitted(moves)


def require_invariance(name: str, moves: Moves) -> None:
    """ValueError unless noise and guidance leave the tilted law invariant and the transport follows the ODE."""
    if not moves.invariant and not (moves.epsilon.vanishes and moves.chi.vanishes):
        raise ValueError(
            f"mode.weights={name}: needs the unmodified gradient of the tilt in the move wherever there is noise,"
            " without mode.gradient, mode.window or sampler.damping; use mode.weights=kernel"
        )
    if not moves.follows_ode:
        raise ValueError(
            "sampler.transport=glass: jumps off the ODE that these weights follow; use mode.weights=kernel"
        )


def overshoot(move: Move) -> Tensor:
    """``eps dt |s_t + g|^2 / (2 d)``, ``(G, N)``: about the share by which a kick inflates the variance.

    A kick keeps the law of time t only in the limit of short steps. On a Gaussian of variance v, Euler-Maruyama has
    the stationary variance ``v / (1 - h / 2v)`` with ``h = eps dt``, and ``h |s|^2 / 2d`` has the mean ``h / 2v``.
    Where it is not small, particles jump over what they should slide into, and short weights are wrong.
    """
    if move.seen is None or move.interval.epsilon == 0:
        return torch.zeros_like(move.after.reward)
    slope = move.seen.score if move.guidance is None else move.seen.score + move.guidance
    return move.interval.epsilon * move.interval.dt / 2 * slope.flatten(2).square().mean(-1).double()


def dissipation(move: Move) -> Tensor | None:
    """``chi (lap r_t + grad r_t . (s_t + grad r_t)) dt`` for a drift ``chi grad r_t``, ``(G, N)``; None without it."""
    if move.guidance is None or move.interval.chi == 0:
        return None
    gradient, laplacian = move.before.gradient, move.laplacian
    assert gradient is not None and laplacian is not None
    inner = (gradient * (move.score + gradient)).flatten(2).sum(-1).double()
    return move.interval.chi * move.interval.dt * (laplacian + inner)


WEIGHTS: dict[str, type[WeightRule]] = {"auto": Fitting, "jarzynski": Jarzynski, "material": Material, "kernel": Kernel}
