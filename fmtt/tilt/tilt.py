"""The tilt ``r_t(x) = beta(t) scale r(L_t(x))``: value and gradient, through the whole look-ahead.

The tilted law at time t is ``rho_t(x) exp(r_t(x)) / Z_t``; at t = 1 it is the target (arXiv 2511.22688).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from fmtt.checks import finite
from fmtt.flow.schedules import Ramp
from fmtt.tilt.look_ahead import LookAhead


class TiltValue(NamedTuple):
    """The tilt at the particles ``(G, N, *D)`` of a population, with which it is permuted.

    Attributes:
        reward: ``r(L_t(x))`` without the scale, ``(G, N)`` in float64.
        value: ``r_t(x) = beta(t) scale r(L_t(x))``, ``(G, N)`` in float64.
        gradient: ``grad r_t(x)``, ``(G, N, *D)``, or None where nobody needs it.
        velocity: ``b_t(x)``, ``(G, N, *D)``, where the look-ahead computed it on its way, else None.
        sample: ``L_t(x)``, ``(G, N, *D)``, if the look-ahead was asked at this very place.
        peak: the largest tilt on the way so far, ``(G, N)``, for potentials that need it.
        rate: ``beta(t) scale d_t r(L_t(x))``, ``(G, N)`` in float64, for weights that need it.
    """

    reward: Tensor
    value: Tensor
    gradient: Tensor | None = None
    velocity: Tensor | None = None
    sample: Tensor | None = None
    peak: Tensor | None = None
    rate: Tensor | None = None

    @staticmethod
    def unasked(x: Tensor) -> TiltValue:
        """What is known of ``x (G, N, *D)`` before anybody asked: a tilt of zero and no reward."""
        zero = torch.zeros(x.shape[:2], dtype=torch.float64, device=x.device)
        return TiltValue(torch.full_like(zero, torch.nan), zero)

    def moved_on(self) -> TiltValue:
        """What is left after a step in which nobody asked: the last answers, without what holds at one place only."""
        return self._replace(gradient=None, velocity=None, sample=None, rate=None)

    def scaled(self, share: Tensor) -> TiltValue:
        """The tilt times ``share (G,)``."""
        gradient, rate = self.gradient, self.rate
        if gradient is not None:
            gradient = gradient * columns(share, gradient)
        if rate is not None:
            rate = share[:, None] * rate
        return self._replace(value=share[:, None] * self.value, gradient=gradient, rate=rate)

    def take(self, index: Tensor) -> TiltValue:
        """The values of the particles ``index (G, M)`` of each group."""
        return TiltValue(*(None if part is None else gather(part, index) for part in self))  # type: ignore[arg-type]


def columns(values: Tensor, like: Tensor) -> Tensor:
    """``values`` of the leading dimensions of ``like``, such as ``(G,)`` or ``(G, N)``, shaped to multiply it.

    Numbers take the precision of ``like``; truth values stay what they are.
    """
    values = values.to(like.dtype) if values.is_floating_point() else values
    return values.reshape(*values.shape, *[1] * (like.ndim - values.ndim))


def gather(values: Tensor, index: Tensor) -> Tensor:
    """``out[g, m] = values[g, index[g, m]]``; ``values (G, N, *D)``, ``index (G, M)``."""
    groups = torch.arange(values.shape[0], device=values.device)[:, None]
    return values[groups, index]


@dataclass(frozen=True)
class Tilt:
    """A look-ahead, a reward and how they enter.

    Attributes:
        look_ahead: ``L_t``.
        reward: ``(B, *D)`` to ``(B,)``.
        scale: multiplies the reward.
        ramp: ``beta``.
        chunk: largest batch that the look-ahead and the reward see.
    """

    look_ahead: LookAhead
    reward: Callable[[Tensor], Tensor]
    scale: float
    ramp: Ramp
    chunk: int

    def __post_init__(self) -> None:
        finite("reward.scale", self.scale)

    def strength(self, t: float) -> float:
        """``beta(t) scale``."""
        return self.ramp(t) * self.scale

    def evaluate(self, x: Tensor, t: float, gradient: bool, rate: bool = False) -> TiltValue:
        """The tilt at ``x (G, N, *D)`` and time t, with the gradient if wanted, and with it the rate.

        Raises:
            ValueError: if the gradient is wanted and the reward is not differentiable.
        """
        strength = self.strength(t)
        wanted = gradient and strength != 0
        parts = [self._evaluate(part, t, wanted, wanted and rate) for part in x.flatten(0, 1).split(self.chunk)]
        rewards, slopes, rates, velocities, samples = zip(*parts, strict=True)
        reward = torch.cat(rewards).double().reshape(x.shape[:2])
        velocity = None if velocities[0] is None else torch.cat(velocities).reshape(x.shape)
        slope = growth = None
        if gradient:
            slope = torch.cat(slopes).mul_(strength).reshape(x.shape) if wanted else torch.zeros_like(x)
        if gradient and rate:
            growth = strength * torch.cat(rates).double().reshape(x.shape[:2]) if wanted else torch.zeros_like(reward)
        sample = torch.cat(samples).reshape(x.shape)
        return TiltValue(reward, strength * reward, slope, velocity, sample, rate=growth)

    @torch.no_grad()
    def land(self, x: Tensor, t: float) -> tuple[Tensor, Tensor]:
        """Where ``x (G, N, *D)`` lands from time t, of the same shape, and the reward there, ``(G, N)`` in float64."""
        parts = x.flatten(0, 1).split(self.chunk)
        samples = [part if t == 1 else self.look_ahead(part, part.new_full(part.shape[:1], t)).sample for part in parts]
        reward = torch.cat([self.reward(sample) for sample in samples])
        return torch.cat(samples).reshape(x.shape), reward.double().reshape(x.shape[:2])

    def _evaluate(
        self, x: Tensor, t: float, gradient: bool, rate: bool
    ) -> tuple[Tensor, Tensor | None, Tensor | None, Tensor | None, Tensor]:
        with torch.set_grad_enabled(gradient):
            x, time = x.detach().requires_grad_(gradient), x.new_full(x.shape[:1], t).requires_grad_(rate)
            sample, velocity = (x, None) if t == 1 else self.look_ahead(x, time)
            reward = self.reward(sample)
            slope = growth = None
            if gradient:
                if not reward.requires_grad:
                    raise ValueError("the reward is not differentiable, and this mode needs its gradient")
                sources = (x, time) if rate else (x,)
                slope, *growths = torch.autograd.grad(reward.sum(), sources, materialize_grads=True)
                growth = growths[0] if rate else None
        return reward.detach(), slope, growth, None if velocity is None else velocity.detach(), sample.detach()

    def laplacian(self, x: Tensor, t: float, probes: Tensor | None) -> Tensor:
        """``lap r_t(x)``, ``(G, N)``, by forward-over-reverse differentiation through the look-ahead.

        Args:
            x: ``(G, N, *D)``.
            t: the time.
            probes: directions v ``(G, M, N, *D)`` with independent entries +-1 for Hutchinson's unbiased estimate
                ``mean_m v.(H v)``; None for the sum over all coordinates, which is exact.
        """
        if probes is None:
            size = x[0, 0].numel()
            basis = torch.eye(size, dtype=x.dtype, device=x.device).reshape(size, 1, 1, *x.shape[2:])
            directions, share = [row.expand_as(x) for row in basis], 1.0
        else:
            directions, share = list(probes.to(x.dtype).unbind(1)), 1 / probes.shape[1]
        total = torch.stack([self._curvature(x, t, direction) for direction in directions]).sum(0)
        return self.strength(t) * share * total

    def _curvature(self, x: Tensor, t: float, direction: Tensor) -> Tensor:
        """``v.(H v)`` of ``r(L_t(x))`` along v, ``(G, N)``."""
        parts = []
        for part, v in zip(x.flatten(0, 1).split(self.chunk), direction.flatten(0, 1).split(self.chunk), strict=True):
            time = part.new_full(part.shape[:1], t)

            def total(point: Tensor, time: Tensor = time) -> Tensor:
                return self.reward(self.look_ahead(point, time).sample).sum()

            product = torch.func.jvp(torch.func.grad(total), (part,), (v,))[1]
            parts.append((v * product).flatten(1).sum(1))
        return torch.cat(parts).double().reshape(x.shape[:2])
