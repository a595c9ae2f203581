"""Shared parts of networks ``v_{s,t}(x)``: the preconditioning by a Gaussian flow map, and the embedding of two times.

If the data were N(mu, sigma^2), the flow map of the linear path would be ``X_{s,t}(x) = t mu + (x - s mu) sigma_t /
sigma_s`` with ``sigma_t^2 = (1-t)^2 + t^2 sigma^2``. Its average velocity is written without 0/0 at s = t. It is the
skip connection, and the network learns the remainder. This is the preconditioning of Karras et al. 2022 for two times.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn


class Frame(NamedTuple):
    """The preconditioning by a Gaussian flow map.

    Attributes:
        x: the input, standardised by the Gaussian path at time s.
        velocity: the average velocity of the Gaussian flow map.
        unit: the factor of the network's correction.
    """

    x: Tensor
    velocity: Tensor
    unit: Tensor


def gaussian_frame(x: Tensor, s: Tensor, t: Tensor, mean: Tensor, std: Tensor) -> Frame:
    """The frame of ``N(mean, std^2)`` at ``x (B, *D)``; all other arguments must broadcast with ``x``."""
    variance = std**2
    sigma_s = torch.sqrt((1 - s) ** 2 + s**2 * variance)
    sigma_t = torch.sqrt((1 - t) ** 2 + t**2 * variance)
    centred = (x - s * mean) / sigma_s
    velocity = mean + centred * ((s + t) * (1 + variance) - 2) / (sigma_s + sigma_t)
    return Frame(centred, velocity, std / sigma_s)


def in_precision(net: nn.Module, device: torch.device, dtype: torch.dtype) -> nn.Module:
    """The network on ``device`` with parameters in ``dtype``; buffers keep the more exact of their type and ``dtype``.

    Times and the frame of a Gaussian are computed from buffers. bfloat16 would be too inexact for them.
    """
    buffers = {name: buffer.clone() for name, buffer in net.named_buffers()}
    net = net.to(device, dtype)
    for name, buffer in buffers.items():
        module, _, leaf = name.rpartition(".")
        exact = torch.promote_types(buffer.dtype, dtype) if buffer.is_floating_point() else buffer.dtype
        setattr(net.get_submodule(module), leaf, buffer.to(device, exact))
    return net


class TimePair(nn.Module):
    """Embedding of two times ``(s, t)``, each ``(B,)``, from Fourier features of s and of t - s; ``(B, width)``."""

    omega: Tensor

    def __init__(self, width: int, frequencies: int = 16, highest: float = 64.0):
        super().__init__()
        omega = torch.exp(torch.linspace(0.0, math.log(highest), frequencies))
        self.register_buffer("omega", omega, persistent=False)
        self.net = nn.Sequential(nn.Linear(4 * frequencies, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU())

    def forward(self, s: Tensor, t: Tensor) -> Tensor:
        phases = torch.cat([s[:, None] * self.omega, (t - s)[:, None] * self.omega], dim=1)
        first: Tensor = self.net[0].weight  # type: ignore[assignment]
        return self.net(torch.cat([phases.sin(), phases.cos()], dim=1).to(first.dtype))
