"""Rewards from a trained classifier."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from fmtt.checks import finite, whole_number
from fmtt.models.checkpoints import load_network
from fmtt.models.classifier import DigitClassifier


@dataclass(frozen=True)
class Digit:
    """``r(x) = log p(digit | x)`` under a digit classifier, for images ``(B, 1, 28, 28)`` in [-1, 1].

    Attributes:
        digit: the class, 0 to 9.
        checkpoint: the classifier, a file or the bundled ``digit_classifier``.

    Raises:
        ValueError: if ``digit`` is not from 0 to 9.
        CheckpointError: if the file does not exist or is damaged.
    """

    digit: int = 0
    checkpoint: str = "digit_classifier"
    scale: float = 1.0
    network: DigitClassifier = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if whole_number("reward.digit", self.digit, at_least=0) > 9:
            raise ValueError(f"reward.digit={self.digit}: must be a digit from 0 to 9")
        finite("reward.scale", self.scale)
        object.__setattr__(self, "network", load_network(self.checkpoint, DigitClassifier))

    def __call__(self, x: Tensor) -> Tensor:
        if x.shape[1:] != (1, 28, 28):
            raise ValueError(f"reward digit needs images (1, 28, 28), not samples of shape {tuple(x.shape[1:])}")
        return torch.log_softmax(self.network.on(x.device)(x).float(), dim=1)[:, self.digit]
