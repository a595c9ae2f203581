"""A network that reads the directions of the hands of a clock."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from fmtt.data.clocks import HALF_DAY
from fmtt.models.convolutional import ConvolutionalNetwork

HOUR = 60.0


class ClockReader(ConvolutionalNetwork):
    """The directions of the hands of clocks ``(B, 1, size, size)``: ``(B, 2, 2)``, the minute hand first.

    A direction is a point ``(sin, cos)`` of the unit circle, with angles clockwise from twelve. Where the network is
    uncertain, the point lies inside the circle.

    Args:
        size: of the images.
        width, features: as in :class:`ConvolutionalNetwork`.
    """

    def __init__(self, size: int = 32, width: int = 16, features: int = 128):
        super().__init__(size, width, features, 4)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).unflatten(1, (2, 2))


def hands(times: Tensor) -> Tensor:
    """The directions of the hands at ``times (B,)``, minutes after twelve; ``(B, 2, 2)`` as in :class:`ClockReader`."""
    angles = 2 * math.pi * torch.stack([times / HOUR, times / HALF_DAY], dim=1)
    return torch.stack([angles.sin(), angles.cos()], dim=2)


def disagreement(seen: Tensor, wanted: Tensor) -> Tensor:
    """Half the squared distance between ``seen`` and ``wanted (B, 2, 2)``, summed over both hands; ``(B,)``.

    For points on the circle it is ``2 - cos a - cos b``, where a and b are the angles between seen and wanted hands.
    """
    return (seen - wanted).square().sum((1, 2)) / 2


def shortfall(seen: Tensor, wanted: Tensor, hour: float = 1.0) -> Tensor:
    """One minus the component of ``seen`` along ``wanted (B, 2, 2)``, summed over both hands; ``(B,)``.

    The term of the hour hand is multiplied by ``hour``. For points on the circle and ``hour = 1`` the sum equals
    :func:`disagreement`. The two differ for points inside the circle. If a clock has two faint hands, on both sides of
    the wanted one, the network sees their mean: a point inside the circle, in the wanted direction. Its distance d to
    the circle costs d here, and only d^2 / 2 there. Points outside the circle are first moved onto it.
    """
    lacking = 1 - (seen / seen.norm(dim=2, keepdim=True).clamp(min=1) * wanted).sum(2)
    return lacking[:, 0] + hour * lacking[:, 1]


def read(seen: Tensor) -> Tensor:
    """The whole minute whose hands have the smallest :func:`disagreement` with ``seen (B, 2, 2)``; ``(B,)``."""
    minutes = hands(torch.arange(HALF_DAY, device=seen.device))
    return torch.cdist(seen.flatten(1), minutes.flatten(1)).argmin(1).to(seen.dtype)
