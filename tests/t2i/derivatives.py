"""Derivatives of models in float64 against differences."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
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


def check_gradient(
    model: Any, look: Callable[[Tensor, Tensor], Tensor], at: float = AT, h: float = 1e-3, rel: float = 1e-4
) -> None:
    """The gradient of a reward of decoded landings agrees with differences of five points, and points upward.

    Rotations of queries and keys are float32 in any precision, so that differences of short width ``h`` are rough.
    """
    (x, v), t = points(model), torch.tensor([at]).double()

    def reward(place: Tensor) -> Tensor:
        return model.decode(look(place, t)).square().mean()

    assert torch.is_grad_enabled()
    place = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(reward(place), place)
    near, far = (reward(x + k * h * v) - reward(x - k * h * v) for k in (1, 2))
    assert (slope * v).sum().item() == pytest.approx((8 * near - far).item() / (12 * h), rel=rel)
    assert reward(x + 1e-3 * slope / slope.norm()) > reward(x), "a step along the gradient raises the reward"


def check_material_derivative(
    model: Any,
    look: Callable[[Tensor, Tensor], Tensor],
    condition: Mapping[str, Tensor],
    h: float = 1e-4,
    tolerance: float = 1e-3,
) -> None:
    """The derivative of landings along the velocity, by forward-mode AD, agrees with differences of width ``h``."""
    (x, _), t = points(model), torch.tensor([AT]).double()
    with sdpa_kernel(SDPBackend.MATH):
        velocity = model.velocity(x, t, condition)
        _, rate = torch.func.jvp(look, (x, t), (velocity, torch.ones_like(t)))
        ahead, behind = (look(x + sign * h * velocity, t + sign * h) for sign in (1, -1))
    assert (rate - (ahead - behind) / (2 * h)).norm() < tolerance * rate.norm()
