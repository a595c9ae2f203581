"""Derivatives of models in float64 against differences."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

AT = 0.4  # the time


def points(model: Any) -> Tensor:
    """A place and a direction, ``(2, 1, *D)``."""
    return torch.randn(2, 1, *model.shape, generator=torch.Generator().manual_seed(3)).double()


def landing(model: Any, condition: Mapping[str, Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
    """One jump of the flow map to t = 1, as a function of place and time."""
    return lambda x, t: model.flow_map(x, t, torch.ones_like(t), condition)


def denoised(model: Any, condition: Mapping[str, Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
    """The denoiser, as a function of place and time."""
    return lambda x, t: x + (1 - t)[:, None, None, None] * model.velocity(x, t, condition)


class Slope(NamedTuple):
    """The gradient of a reward.

    Attributes:
        off: how far the slope along a direction is off the difference, relatively.
        gain: of the reward, by a small step along the gradient.
    """

    off: float
    gain: float


def slope_of(model: Any, look: Callable[[Tensor, Tensor], Tensor], at: float = AT, h: float = 1e-3) -> Slope:
    """The gradient of a reward of decoded landings at time ``at``, against differences of five points.

    Rotations of queries and keys are float32 in any precision, so that differences of short width ``h`` are rough.
    """
    (x, v), t = points(model), torch.tensor([at]).double()

    def reward(place: Tensor) -> Tensor:
        return model.decode(look(place, t)).square().mean()

    place = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(reward(place), place)
    with torch.no_grad():
        near, far = (reward(x + k * h * v) - reward(x - k * h * v) for k in (1, 2))
        gain = reward(x + 1e-3 * slope / slope.norm()) - reward(x)
    difference = (8 * near - far) / (12 * h)
    return Slope(((slope * v).sum() / difference - 1).abs().item(), gain.item())


def rate_error(
    model: Any, look: Callable[[Tensor, Tensor], Tensor], condition: Mapping[str, Tensor], h: float = 1e-4
) -> float:
    """How far the derivative of landings along the velocity, by forward-mode AD, is off differences of width ``h``.

    Relatively, and of all numbers of a landing together.
    """
    (x, _), t = points(model), torch.tensor([AT]).double()
    with sdpa_kernel(SDPBackend.MATH):
        velocity = model.velocity(x, t, condition)
        _, rate = torch.func.jvp(look, (x, t), (velocity, torch.ones_like(t)))
        ahead, behind = (look(x + sign * h * velocity, t + sign * h) for sign in (1, -1))
    return ((rate - (ahead - behind) / (2 * h)).norm() / rate.norm()).item()
