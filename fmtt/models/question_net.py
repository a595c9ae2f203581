"""A small network that answers questions about pictures: ``(picture, question)`` to the log-odds of yes."""

from __future__ import annotations

from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fmtt.data.questions import QUESTION_WORDS
from fmtt.models.sequence import Layer, SequenceAttention
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

    Args:
        size: height and width of the pictures.
        width: of cells and words.
        layers: how often the words of the question look at the picture.
    """

    def __init__(self, size: int = 32, width: int = 96, layers: int = 2):
        super().__init__()
        self.size = size
        self.cells = Cells(size, width)
        self.around = Layer(width)
        self.reader = Reader(len(QUESTION_WORDS), width, layers=1)
        self.looks = nn.ModuleList(SequenceAttention(width, width) for _ in range(layers))
        self.thoughts = nn.ModuleList(Layer(width) for _ in range(layers))
        self.answer = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, 1))

    def on(self, device: torch.device) -> Self:
        """The network itself, on ``device``: see :meth:`fmtt.models.convolutional.ConvolutionalNetwork.on`."""
        return self if self.cells.places.device == device else self.to(device)

    def see(self, x: Tensor) -> Tensor:
        """What the network sees of pictures ``(B, 3, size, size)``, for any number of questions."""
        return self.around(self.cells(x.to(self.cells.places.dtype)))

    def ask(self, seen: Tensor, tokens: Tensor) -> Tensor:
        """The log-odds of yes for Q questions ``tokens (B, Q, L)`` about each picture, ``(B, Q)``."""
        questions = tokens.shape[:2]
        words, known = self.reader(tokens.flatten(0, 1))
        for look, thought in zip(self.looks, self.thoughts, strict=True):
            together = words.unflatten(0, questions).flatten(
                1, 2
            )  # what words look at is prepared once for all of them
            words = thought(words + look(together, seen).reshape(words.shape), known)
        mean = (words * known[..., None]).sum(1) / known.sum(1, keepdim=True)
        return self.answer(mean)[:, 0].unflatten(0, questions)

    def forward(self, x: Tensor, tokens: Tensor) -> Tensor:
        """The log-odds for one question ``tokens (B, L)`` about each picture, ``(B,)``."""
        return self.ask(self.see(x), tokens[:, None])[:, 0]
