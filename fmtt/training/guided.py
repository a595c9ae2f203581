"""The teacher of a model with classifier-free guidance."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from fmtt.checks import at_least
from fmtt.models.checkpoints import load_network
from fmtt.models.text_unet import TextUNet
from fmtt.models.words import PADDING


class Guided(nn.Module):
    """The velocity ``v(x) + strength (v(x | text) - v(x))`` of a network that was trained with and without texts.

    (Ho, Salimans 2022, arXiv 2207.12598.) A network that learns it needs one evaluation in the place of two.

    Args:
        checkpoint: the network, a file or a bundled one.
        strength: 1 is the velocity given the text; more follows the text more closely.
    """

    def __init__(self, checkpoint: str | Path, strength: float):
        super().__init__()
        self.net, self.strength = load_network(checkpoint, TextUNet), at_least("teacher.strength", strength, 1)

    def encode(self, tokens: Tensor) -> Mapping[str, Tensor]:
        """What the network is told of texts ``tokens (B, L)``: ``2 B`` rows, the second half of them empty."""
        return self.net.encode(torch.cat([tokens, torch.full_like(tokens, PADDING)]))

    def forward(self, x: Tensor, s: Tensor, t: Tensor, condition: Mapping[str, Tensor]) -> Tensor:
        """``x (B, *D)``, ``s, t (B,)`` with s = t; ``condition`` as :meth:`encode` returns it."""
        told, untold = self.net(*(torch.cat([part, part]) for part in (x, s, t)), condition).chunk(2)
        return untold + self.strength * (told - untold)
