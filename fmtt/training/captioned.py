"""Batches of training data, with captions or without, and networks that are told the captions."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor


class Drawn(NamedTuple):
    """A batch of training data.

    Attributes:
        samples: ``(B, *D)`` in float32.
        tokens: the words of the caption of each, ``(B, L)``, or None where there are no captions.
    """

    samples: Tensor
    tokens: Tensor | None = None

    def to(self, device: torch.device) -> Drawn:
        """The same on another device."""
        return Drawn(self.samples.to(device), None if self.tokens is None else self.tokens.to(device))


def told(net: Any, tokens: Tensor | None) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """A two-time network that was told the captions of a batch, if there are any; called as ``(x, s, t)``."""
    return net if tokens is None else partial(net, condition=net.encode(tokens))
