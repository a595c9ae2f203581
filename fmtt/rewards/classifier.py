"""Rewards from a trained classifier."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from fmtt.checks import finite, whole_number
from fmtt.data.mnist import available, load_mnist, to_unit_range
from fmtt.models.checkpoints import load_network
from fmtt.models.classifier import SURE, DigitClassifier


@dataclass(frozen=True)
class Digit:
    """``r(x) = log p(digit | x)`` under a digit classifier, for images ``(B, 1, 28, 28)`` in [-1, 1].

    Attributes:
        digit: the class, 0 to 9.
        checkpoint: the classifier, a file or the bundled ``digit_classifier``.
        second: one that was trained apart, whose verdict is reported; or None.

    Raises:
        ValueError: if ``digit`` is not from 0 to 9.
        CheckpointError: if the file does not exist or is damaged.
    """

    digit: int = 0
    checkpoint: str = "digit_classifier"
    second: str | None = "digit_evaluator"
    scale: float = 1.0
    network: DigitClassifier = field(init=False, repr=False, compare=False)
    other: DigitClassifier | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if whole_number("reward.digit", self.digit, at_least=0) > 9:
            raise ValueError(f"reward.digit={self.digit}: must be a digit from 0 to 9")
        finite("reward.scale", self.scale)
        object.__setattr__(self, "network", load_network(self.checkpoint, DigitClassifier))
        other = None if self.second is None else load_network(self.second, DigitClassifier)
        object.__setattr__(self, "other", other)

    def __call__(self, x: Tensor) -> Tensor:
        if x.shape[1:] != (1, 28, 28):
            raise ValueError(f"reward digit needs images (1, 28, 28), not samples of shape {tuple(x.shape[1:])}")
        return torch.log_softmax(self.network.on(x.device)(x).float(), dim=1)[:, self.digit]

    def statistics(self, x: Tensor) -> dict[str, Tensor]:
        """Whether the second network is sure that each image is the digit, ``(B,)``."""
        if self.other is None:
            return {}
        sure = self.other.on(x.device)(x).double().softmax(1)[:, self.digit] > SURE
        return {"shows_the_digit": sure.double()}

    def real(self) -> Tensor | None:
        """The digits of that class in the test set, ``(M, 1, 28, 28)``; None if MNIST is not on this machine."""
        if not available():
            return None
        images, labels = load_mnist("test")
        return to_unit_range(images[labels == self.digit])
