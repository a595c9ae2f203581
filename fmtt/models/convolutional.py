"""A small convolutional network for images. Its last hidden layer is also a feature space."""

from __future__ import annotations

from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ConvolutionalNetwork(nn.Module):
    """Three stages of two convolutions and a pooling, then a hidden layer and a linear head.

    Args:
        size: height and width of the images, one channel in [-1, 1].
        width: channels of the first stage; doubled after each pooling.
        features: size of the last hidden layer.
        outputs: number of outputs.

    Shapes: ``(B, 1, size, size)`` to ``(B, outputs)``; :meth:`features` gives ``(B, features)``.
    """

    def __init__(self, size: int, width: int, features: int, outputs: int):
        super().__init__()

        def stage(inputs: int, outputs: int) -> list[nn.Module]:
            return [
                nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.SiLU(),
                nn.Conv2d(outputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.SiLU(),
                nn.AvgPool2d(2),
            ]  # fmt: skip

        self.size = size
        stages = [*stage(1, width), *stage(width, 2 * width), *stage(2 * width, 4 * width)]
        self.body = nn.Sequential(*stages, nn.Flatten())
        self.hidden = nn.Linear(4 * width * (size // 8) ** 2, features)
        self.head = nn.Linear(features, outputs)

    def on(self, device: torch.device) -> Self:
        """The network itself, on ``device``.

        A network that is on the device already is not moved. ``Module.to`` would assign its parameters again. Inside a
        transform of ``torch.func`` it would assign wrappers that outlive the transform, and the next call would crash.
        """
        return self if self.head.weight.device == device else self.to(device)

    def features(self, x: Tensor) -> Tensor:
        return F.silu(self.hidden(self.body(x.to(self.head.weight.dtype))))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))
