"""Teachers of flow maps: velocities that do not change while a network learns from them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from fmtt.checks import at_least
from fmtt.models.analytic import GaussianMixture
from fmtt.models.checkpoints import load_network
from fmtt.models.ring import Ring
from fmtt.models.text_unet import TextUNet
from fmtt.models.unet import TwoTimeUNet
from fmtt.models.words import PADDING


class ExactTeacher:
    """A teacher with the exact velocity of a model: ``(x, s, t) -> b_s(x)``, for s = t."""

    def __init__(self, model: GaussianMixture | Ring):
        self.model = model

    def __call__(self, x: Tensor, s: Tensor, t: Tensor) -> Tensor:
        return self.model.velocity(x, s)


class Trained(nn.Module):
    """The velocity of a network on its diagonal.

    Args:
        checkpoint: the network, a file or a bundled one.
    """

    def __init__(self, checkpoint: str | Path):
        super().__init__()
        self.net = load_network(checkpoint, TwoTimeUNet)

    def forward(self, x: Tensor, s: Tensor, t: Tensor) -> Tensor:
        return self.net(x, s, t)


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
