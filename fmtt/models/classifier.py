"""A digit classifier. Its last hidden layer is also the feature space of the Frechet distance."""

from __future__ import annotations

from fmtt.models.convolutional import ConvolutionalNetwork

SURE = 0.9  # a digit is recognised if the probability of its class is above this


class DigitClassifier(ConvolutionalNetwork):
    """Logits of the classes of images ``(B, 1, 28, 28)`` in [-1, 1].

    Args:
        width, features: as in :class:`ConvolutionalNetwork`.
        classes: number of classes.
    """

    def __init__(self, width: int = 32, features: int = 128, classes: int = 10):
        super().__init__(28, width, features, classes)
