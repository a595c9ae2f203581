"""The tilt ``r_t(x) = beta(t) scale r(L_t(x))``: value and gradient, through the whole look-ahead.

The tilted law at time t is ``rho_t(x) exp(r_t(x)) / Z_t``; at t = 1 it is the target (arXiv 2511.22688).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from fmtt.checks import finite
from fmtt.flow.batches import Batches, joined
from fmtt.flow.conditions import for_rows
from fmtt.flow.faults import CallError, NoGradientError
from fmtt.flow.protocols import Velocity
from fmtt.flow.schedules import Ramp
from fmtt.tilt.look_ahead import LookAhead

AGAIN = "layers that compute again for the gradient, as those of reward=vlm and of model.checkpointing=true"
INSTEAD = "use sampler/chi=zero"


class TiltValue(NamedTuple):
    """The tilt at the particles ``(G, N, *D)`` of a population, with which it is permuted.

    Attributes:
        reward: ``r(L_t(x))`` without the scale, ``(G, N)`` in float64.
        value: ``r_t(x) = beta(t) scale r(L_t(x))``, ``(G, N)`` in float64.
        gradient: ``grad r_t(x)``, ``(G, N, *D)``, or None where it is not needed.
        velocity: ``b_t(x)``, ``(G, N, *D)``, where the look-ahead computed it on its way, else None.
        sample: ``L_t(x)``, ``(G, N, *D)``, if the look-ahead was called at this very place.
        rate: ``beta(t) scale d_t r(L_t(x))``, ``(G, N)`` in float64, or None where it is not needed.
    """

    reward: Tensor
    value: Tensor
    gradient: Tensor | None = None
    velocity: Tensor | None = None
    sample: Tensor | None = None
    rate: Tensor | None = None

    @staticmethod
    def unknown(x: Tensor) -> TiltValue:
        """Before the reward was asked for at ``x (G, N, *D)``: a tilt of zero and no reward."""
        zero = torch.zeros(x.shape[:2], dtype=torch.float64, device=x.device)
        return TiltValue(torch.full_like(zero, torch.nan), zero)

    def moved_on(self) -> TiltValue:
        """After a step without an evaluation: the last reward and value, without what holds at one place only."""
        return self._replace(gradient=None, velocity=None, sample=None, rate=None)

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
    groups, particles = values.shape[:2]
    if groups > 1:  # rows of one long list are copied several times faster than pairs of indices are looked up
        index = index + torch.arange(0, groups * particles, particles, device=index.device)[:, None]
    return values.flatten(0, 1).index_select(0, index.flatten()).reshape(*index.shape, *values.shape[2:])


class Part(NamedTuple):
    """What one batch of B rows gives.

    Attributes:
        reward: ``r(L_t(x))``, ``(B,)``.
        gradient: ``grad r(L_t(x))``, ``(B, *D)``, or None.
        rate: ``d_t r(L_t(x))``, ``(B,)``, or None.
        velocity: ``b_t(x)``, ``(B, *D)``, or None.
        sample: ``L_t(x)``, ``(B, *D)``.
    """

    reward: Tensor
    gradient: Tensor | None
    rate: Tensor | None
    velocity: Tensor | None
    sample: Tensor


@dataclass(frozen=True)
class Tilt:
    """A look-ahead, a reward and how they enter.

    Attributes:
        model: the model that the look-ahead asks.
        make_look_ahead: makes ``L_t`` of a model, such as :class:`fmtt.tilt.look_ahead.Denoiser`.
        reward: ``(B, *D)`` to ``(B,)``.
        scale: multiplies the reward.
        ramp: ``beta``.
        batches: how populations are cut for the look-ahead and the reward.
    """

    model: Velocity
    make_look_ahead: Callable[[Velocity], LookAhead]
    reward: Callable[[Tensor], Tensor]
    scale: float
    ramp: Ramp
    batches: Batches = Batches()

    def __post_init__(self) -> None:
        finite("reward.scale", self.scale)

    @cached_property
    def look_ahead(self) -> LookAhead:
        """``L_t`` of the model, which is told of no prompts."""
        return self.make_look_ahead(self.model)

    def look_ahead_for(self, prompt: Tensor | None) -> LookAhead:
        """``L_t`` for the rows of a batch, whose prompts have the numbers ``prompt (B,)``."""
        return self.look_ahead if prompt is None else self.make_look_ahead(for_rows(self.model, prompt))

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
        parts = self.batches.each(partial(self._evaluate, t=t, gradient=wanted, rate=wanted and rate), x)
        rewards, slopes, rates, velocities, samples = zip(*parts, strict=True)
        reward = joined(rewards).double().reshape(x.shape[:2])
        velocity = None if velocities[0] is None else joined(velocities).reshape(x.shape)
        slope = growth = None
        if gradient:
            slope = (strength * joined(slopes)).reshape(x.shape) if wanted else torch.zeros_like(x)
        if gradient and rate:
            growth = strength * joined(rates).double().reshape(x.shape[:2]) if wanted else torch.zeros_like(reward)
        return TiltValue(reward, strength * reward, slope, velocity, joined(samples).reshape(x.shape), growth)

    @torch.no_grad()
    def landings(self, x: Tensor, t: float) -> Tensor:
        """Where ``x (G, N, *D)`` lands from time t, of the same shape."""
        return joined(self.batches.each(partial(self._landing, t=t), x)).reshape(x.shape)

    @torch.no_grad()
    def land(self, x: Tensor, t: float) -> tuple[Tensor, Tensor]:
        """Where ``x (G, N, *D)`` lands from time t, of the same shape, and the reward there, ``(G, N)`` in float64."""
        landed = self.landings(x, t)
        reward = joined(self.batches.each(lambda part, prompt: for_rows(self.reward, prompt)(part), landed))
        return landed, reward.double().reshape(x.shape[:2])

    def _landing(self, x: Tensor, prompt: Tensor | None, t: float) -> Tensor:
        return x if t == 1 else self.look_ahead_for(prompt)(x, x.new_full(x.shape[:1], t)).sample

    def _evaluate(self, x: Tensor, prompt: Tensor | None, t: float, gradient: bool, rate: bool) -> Part:
        with torch.set_grad_enabled(gradient):
            x, time = x.detach().requires_grad_(gradient), x.new_full(x.shape[:1], t).requires_grad_(rate)
            sample, velocity = (x, None) if t == 1 else self.look_ahead_for(prompt)(x, time)
            reward = for_rows(self.reward, prompt)(sample)
            slope = growth = None
            if gradient:
                require_differentiable(reward)
                sources = (x, time) if rate else (x,)
                slope, *growths = torch.autograd.grad(reward.sum(), sources, materialize_grads=True)
                growth = growths[0] if rate else None
        velocity = None if velocity is None else velocity.detach()
        return Part(reward.detach(), slope, growth, velocity, sample.detach())

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

        def along(part: Tensor, v: Tensor, prompt: Tensor | None) -> Tensor:
            time = part.new_full(part.shape[:1], t)
            look_ahead, reward = self.look_ahead_for(prompt), for_rows(self.reward, prompt)

            def total(point: Tensor) -> Tensor:
                return reward(look_ahead(point, time).sample).sum()

            try:
                with sdpa_kernel(SDPBackend.MATH):  # the only attention with a forward derivative
                    product = torch.func.jvp(torch.func.grad(total), (part,), (v,))[1]
            except torch.OutOfMemoryError:
                raise
            except (RuntimeError, CallError) as error:
                if isinstance(error, CallError) and not isinstance(error.__cause__, RuntimeError):
                    raise
                reason = str(error.__cause__ or error).partition("\n")[0]
                layers = AGAIN if "saved tensor hooks" in reason else f"this model or reward ({reason})"
                raise ValueError(f"sampler.chi: its Laplacian cannot pass through {layers}; {INSTEAD}") from error
            return (v * product).flatten(1).sum(1)

        return joined(self.batches.each(along, x, direction)).double().reshape(x.shape[:2])


def require_differentiable(reward: Tensor) -> None:
    """CallError if ``reward (B,)``, made of something that requires a gradient, has none."""
    if not reward.requires_grad:
        raise NoGradientError("the reward is not differentiable, and this mode needs its gradient")


def differentiable(tilt: Tilt, x: Tensor) -> bool:
    """Whether the reward at clean samples ``x (1, B, *D)`` of the first group has a gradient; it is called once."""
    prompt = None if tilt.batches.prompt is None else tilt.batches.prompt[:1]
    with torch.enable_grad():
        (reward,) = Batches(prompt=prompt).each(
            lambda part, rows: for_rows(tilt.reward, rows)(part), x.requires_grad_()
        )
    return bool(reward.requires_grad)


def require_generator(tilt: Tilt, mode: str) -> Tilt:
    """``tilt`` itself.

    Raises:
        ValueError: if its look-ahead does not make samples of noise.
    """
    if not tilt.look_ahead.generates:
        raise ValueError(
            f"mode={mode}: works on the noise of a generator, and the look-ahead {type(tilt.look_ahead).__name__} makes"
            " no samples of noise; use the look-ahead flowmap1, flowmap2, flowmap4, diffusion4 or exact"
        )
    return tilt
