"""Rewards on points ``(B, d)``. A Gaussian mixture tilted by a linear or quadratic reward has a closed form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from fmtt.checks import finite, numbers, positive, whole_number


def coefficients(name: str, values: Sequence[float], x: Tensor) -> Tensor:
    """``values`` as a tensor ``(d,)`` of the type and device of ``x (B, d)``; a single number is broadcast.

    Raises:
        ValueError: if the number of values is neither 1 nor d, or ``x`` is not a batch of points.
    """
    if x.ndim != 2 or len(values) not in (1, x.shape[1]):
        wanted = f"1 or {x.shape[1]} numbers" if x.ndim == 2 else "a model of points"
        raise ValueError(f"{name}={list(values)}: needs {wanted}, for samples of shape {tuple(x.shape[1:])}")
    return torch.tensor(values, dtype=x.dtype, device=x.device).expand(x.shape[1])


@dataclass(frozen=True)
class Linear:
    """``r(x) = direction . x``."""

    direction: Sequence[float] = field(default_factory=lambda: (1.0,))
    scale: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "direction", tuple(numbers("reward.direction", self.direction)))
        finite("reward.scale", self.scale)

    def __call__(self, x: Tensor) -> Tensor:
        return x @ coefficients("reward.direction", self.direction, x)

    def quadratic_form(self, dimension: int) -> tuple[Tensor, Tensor, float]:
        """``(P, l, c)`` in float64 with ``r(x) = -x.P x / 2 + l.x + c`` (P diagonal, ``(d,)``; l ``(d,)``)."""
        point = torch.zeros(1, dimension, dtype=torch.float64)
        return point[0], coefficients("reward.direction", self.direction, point).clone(), 0.0


@dataclass(frozen=True)
class Quadratic:
    """``r(x) = -1/2 sum_d precision_d (x_d - center_d)^2``."""

    center: Sequence[float] = field(default_factory=lambda: (0.0,))
    precision: Sequence[float] = field(default_factory=lambda: (1.0,))
    scale: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "center", tuple(numbers("reward.center", self.center)))
        object.__setattr__(self, "precision", tuple(numbers("reward.precision", self.precision)))
        finite("reward.scale", self.scale)

    def __call__(self, x: Tensor) -> Tensor:
        offset = x - coefficients("reward.center", self.center, x)
        return -0.5 * (offset.square() @ coefficients("reward.precision", self.precision, x))

    def quadratic_form(self, dimension: int) -> tuple[Tensor, Tensor, float]:
        """``(P, l, c)`` in float64 with ``r(x) = -x.P x / 2 + l.x + c`` (P diagonal, ``(d,)``; l ``(d,)``)."""
        point = torch.zeros(1, dimension, dtype=torch.float64)
        center = coefficients("reward.center", self.center, point)
        precision = coefficients("reward.precision", self.precision, point)
        return precision.clone(), precision * center, float(-0.5 * (precision * center**2).sum())


@dataclass(frozen=True)
class HalfPlane:
    """``r(x) = -x_0^2`` where ``x_0 < 0``, else 0 (toy A of arXiv 2511.22688)."""

    scale: float = 1.0

    upper = 0.0  # the largest possible reward

    def __post_init__(self) -> None:
        finite("reward.scale", self.scale)

    def __call__(self, x: Tensor) -> Tensor:
        coefficients("reward", [1.0], x)
        return -x[:, 0].clamp_max(0).square()

    def statistics(self, x: Tensor) -> dict[str, Tensor]:
        """Statistics for the table of a run: whether each point is on the right."""
        return {"positive": (x[:, 0] > 0).double()}


@dataclass(frozen=True)
class WavyRing:
    """``r(x) = exp(-(|x| - R(theta))^2 / (2 width^2))``, in (0, 1]: a thin ring of arches (toy B of arXiv 2511.22688).

    ``R = radius + amplitude (2 |sin(frequency theta / 2)| - 1)``: ``frequency`` arches with cusps between them. The
    paper's formula is not public. Amplitude, frequency and, roughly, width are estimated from its figures.
    """

    radius: float = 1.0
    amplitude: float = 0.08
    frequency: int = 12
    width: float = 0.03
    scale: float = 10.0

    upper = 1.0  # the largest possible reward

    def __post_init__(self) -> None:
        positive("reward.radius", self.radius)
        positive("reward.width", self.width)
        finite("reward.amplitude", self.amplitude)
        whole_number("reward.frequency", self.frequency, 1)
        finite("reward.scale", self.scale)

    def __call__(self, x: Tensor) -> Tensor:
        if x.ndim != 2 or x.shape[1] != 2:
            raise ValueError(f"reward wavy_ring: needs points of the plane, got samples of shape {tuple(x.shape[1:])}")
        angle = torch.atan2(x[:, 1], x[:, 0])
        ring = self.radius + self.amplitude * (2 * torch.sin(self.frequency * angle / 2).abs() - 1)
        return torch.exp(-(x.norm(dim=1) - ring).square() / (2 * self.width**2))
