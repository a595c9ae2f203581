"""A digit classifier whose last hidden layer is also the feature space of the Frechet distance."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class DigitClassifier(nn.Module):
    """A small convolutional network for 28 x 28 images in [-1, 1].

    Args:
        width: channels of the first layer; doubled after each pooling.
        features: size of the last hidden layer.
        classes: number of classes.

    Shapes: ``(B, 1, 28, 28)`` to logits ``(B, classes)``; :meth:`features` gives ``(B, features)``.
    """

    def __init__(self, width: int = 32, features: int = 128, classes: int = 10):
        super().__init__()

        def stage(inputs: int, outputs: int) -> list[nn.Module]:
            return [
                nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.SiLU(),
                nn.Conv2d(outputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.SiLU(),
                nn.AvgPool2d(2),
            ]  # fmt: skip

        stages = [*stage(1, width), *stage(width, 2 * width), *stage(2 * width, 4 * width)]
        self.body = nn.Sequential(*stages, nn.Flatten())
        self.hidden = nn.Linear(4 * width * 9, features)
        self.head = nn.Linear(features, classes)

    def features(self, x: Tensor) -> Tensor:
        return F.silu(self.hidden(self.body(x)))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))
