"""Small things that a user might bring: a model of latents with a decoder, and weights."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from fmtt.models.analytic import Gaussian
from fmtt.step.weights import Increment, Kernel, Move

PATTERNS = torch.linspace(-1, 1, 32).reshape(2, 16).sin()  # two latents to a picture of 4 x 4


class LatentPictures(Gaussian):
    """Gaussian latents ``(2,)``, decoded to pictures ``(1, 4, 4)`` by two fixed patterns."""

    def __init__(self) -> None:
        super().__init__((0.5, -0.3), (0.7, 1.2))

    def decode(self, z: Tensor) -> Tensor:
        return (z @ PATTERNS.to(z)).reshape(-1, 1, 4, 4)


@dataclass(frozen=True)
class DoubledKernel(Kernel):
    """Wrong on purpose, so that it can be told from the right ones: twice the increment."""

    def increment(self, move: Move) -> Increment:
        return Increment(2 * super().increment(move).log_weights)
