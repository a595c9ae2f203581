"""A network that sees where the hands of a clock point."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from fmtt.data.clocks import HALF_DAY
from fmtt.models.convolutional import ConvolutionalNetwork

HOUR = 60.0


class ClockReader(ConvolutionalNetwork):
    """Where the hands of clocks ``(B, 1, size, size)`` point: ``(B, 2, 2)``, the minute hand first.

    Each is a point ``(sin, cos)`` of the unit circle, clockwise from twelve; within it where the network doubts.

    Args:
        size: of the images.
        width, features: as in :class:`ConvolutionalNetwork`.
    """

    def __init__(self, size: int = 32, width: int = 16, features: int = 128):
        super().__init__(size, width, features, 4)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).unflatten(1, (2, 2))


def hands(times: Tensor) -> Tensor:
    """Where the hands point at ``times (B,)``, minutes after twelve; ``(B, 2, 2)`` as above."""
    angles = 2 * math.pi * torch.stack([times / HOUR, times / HALF_DAY], dim=1)
    return torch.stack([angles.sin(), angles.cos()], dim=2)


def disagreement(seen: Tensor, wanted: Tensor) -> Tensor:
    """Half the squared distances of ``seen`` and ``wanted (B, 2, 2)``, of both hands; ``(B,)``.

    For points on the circle it is ``2 - cos a - cos b``, with a and b the angles between them.
    """
    return (seen - wanted).square().sum((1, 2)) / 2


def shortfall(seen: Tensor, wanted: Tensor, hour: float = 1.0) -> Tensor:
    """What ``seen`` lacks in the directions ``wanted (B, 2, 2)``, the hour hand counting ``hour`` times; ``(B,)``.

    The same as :func:`disagreement` for points on the circle and ``hour = 1``. But two faint hands on both sides of the
    wanted one are seen at their mean, within the circle in the right direction: that costs here in proportion to what
    is lacking, and only the square of it there. Points beyond the circle count as if on it.
    """
    lacking = 1 - (seen / seen.norm(dim=2, keepdim=True).clamp(min=1) * wanted).sum(2)
    return lacking[:, 0] + hour * lacking[:, 1]


def read(seen: Tensor) -> Tensor:
    """The whole minute whose hands disagree least with ``seen (B, 2, 2)``; ``(B,)``."""
    minutes = hands(torch.arange(HALF_DAY, device=seen.device))
    return torch.cdist(seen.flatten(1), minutes.flatten(1)).argmin(1).to(seen.dtype)
