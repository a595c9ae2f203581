"""A small network that answers questions about pictures: ``(picture, question)`` to the log-odds of yes."""

from __future__ import annotations

from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fmtt.data.questions import QUESTION_WORDS
from fmtt.models.words import Reader


class Cells(nn.Module):
    """A picture ``(B, 3, size, size)`` as features of its cells of 4 x 4 pixels, ``(B, (size / 4)^2, width)``."""

    def __init__(self, size: int, width: int):
        super().__init__()
        half = width // 2
        self.stem = nn.Sequential(
            nn.PixelUnshuffle(2),
            nn.Conv2d(12, half, 3, padding=1), nn.GroupNorm(8, half), nn.SiLU(),
            nn.Conv2d(half, width, 4, stride=2, padding=1), nn.GroupNorm(8, width), nn.SiLU(),
        )  # fmt: skip
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(width, width, 3, padding=1), nn.GroupNorm(8, width), nn.SiLU(),
                nn.Conv2d(width, width, 3, padding=1), nn.GroupNorm(8, width),
            )
            for _ in range(2)
        )  # fmt: skip
        self.places = nn.Parameter(nn.init.normal_(torch.empty((size // 4) ** 2, width), std=0.02))

    def forward(self, x: Tensor) -> Tensor:
        h = self.stem(x)
        for block in self.blocks:
            h = F.silu(h + block(h))
        return h.flatten(2).transpose(1, 2) + self.places


class QuestionNet(nn.Module):
    """The log-odds of yes.

    Gates that read the question change what each cell says (FiLM, arXiv 1709.07871), which knows its place. What cells
    say is summed, since questions count objects, and its largest value is taken, since they ask how far objects reach.

    Args:
        size: height and width of the pictures.
        width: of cells and words.
        hidden: width of what cells say about a question.
        layers: how often gates change that.
    """

    at: Tensor

    def __init__(self, size: int = 32, width: int = 96, hidden: int = 128, layers: int = 2):
        super().__init__()
        self.size, self.width = size, width
        self.cells = Cells(size, width)
        self.norm = nn.LayerNorm(width)
        self.reader = Reader(len(QUESTION_WORDS), width, layers=1)
        axis = torch.linspace(-1, 1, size // 4)
        self.register_buffer("at", torch.cartesian_prod(axis, axis), persistent=False)
        self.says = nn.ModuleList(nn.Linear(width + 2 if k == 0 else hidden, hidden) for k in range(layers))
        self.together = nn.ModuleList(nn.Linear(2 * hidden if k == 0 else hidden, hidden) for k in range(layers))
        self.gates = nn.ModuleList(nn.Linear(width, 2 * hidden) for _ in range(2 * layers))
        self.answer = nn.Linear(hidden, 1)

    def on(self, device: torch.device) -> Self:
        """The network itself, on ``device``: see :meth:`fmtt.models.convolutional.ConvolutionalNetwork.on`."""
        return self if self.cells.places.device == device else self.to(device)

    def see(self, x: Tensor) -> Tensor:
        """What cells show of pictures ``(B, 3, size, size)``, and their places, ``(B, cells, width + 2)``."""
        cells = self.norm(self.cells(x.to(self.cells.places.dtype)))
        return torch.cat([cells, self.at.to(cells).expand(len(cells), -1, -1)], dim=2)

    def ask(self, seen: Tensor, tokens: Tensor) -> Tensor:
        """The log-odds of yes for Q questions ``tokens (B, Q, L)`` about each picture, ``(B, Q)``."""
        words, known = self.reader(tokens.flatten(0, 1))
        question = ((words * known[..., None]).sum(1) / known.sum(1, keepdim=True)).unflatten(0, tokens.shape[:2])
        gates = iter(self.gates)
        h = seen[:, None]
        for layer in self.says:
            h = gated(layer(h), next(gates)(question)[:, :, None])
        h = torch.cat([h.sum(2) / seen.shape[1] ** 0.5, h.amax(2)], dim=2)
        for layer in self.together:
            h = gated(layer(h), next(gates)(question))
        return self.answer(h)[..., 0]

    def forward(self, x: Tensor, tokens: Tensor) -> Tensor:
        """The log-odds for one question ``tokens (B, L)`` about each picture, ``(B,)``."""
        return self.ask(self.see(x), tokens[:, None])[:, 0]


def gated(h: Tensor, gate: Tensor) -> Tensor:
    """``silu(h (1 + gain) + shift)``; ``gate`` holds both, along its last axis."""
    gain, shift = gate.chunk(2, dim=-1)
    return F.silu(h * (1 + gain) + shift)
