"""A small network that answers questions about pictures: ``(picture, question)`` to the log-odds of yes."""

from __future__ import annotations

from typing import NamedTuple, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fmtt.data.questions import QUESTION_WORDS
from fmtt.models.words import Reader

MAPS = 2  # of the first and of the second group that a question asks about
NUMBERS = MAPS * (1 + 4)  # for each map: its sum, and its reach to four sides


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


class Seen(NamedTuple):
    """What cells show of pictures.

    Attributes:
        cells: their features, ``(B, cells, width)``.
        places: where the objects are that have their centres in them: row and column, from -1 to 1, ``(B, cells, 2)``.
    """

    cells: Tensor
    places: Tensor


class Answers(NamedTuple):
    """Answers to Q questions about each picture.

    Attributes:
        log_odds: of yes, ``(B, Q)``.
        maps: the log-odds that a cell has the centre of an asked object in it, ``(B, Q, cells, MAPS)``.
    """

    log_odds: Tensor
    maps: Tensor


class QuestionNet(nn.Module):
    """The log-odds of yes, by way of what the question asks about.

    Two maps say in which cells of the picture the asked objects have their centres: those of the first group, and those
    of the second group of a question about two. Gates make them, which read the words that name the group (FiLM, arXiv
    1709.07871). The answer is made from a few numbers and the question alone: the sums of the maps, since questions
    count objects, and how far the maps reach to each side, since questions ask where objects are.

    Args:
        size: height and width of the pictures.
        width: of cells and words.
        hidden: width of what cells say about a question, and of the layers that answer.
        layers: how often gates change what cells say, and how often they change the numbers.
    """

    at: Tensor

    def __init__(self, size: int = 32, width: int = 96, hidden: int = 128, layers: int = 2):
        super().__init__()
        self.size, self.width = size, width
        self.cells = Cells(size, width)
        self.norm = nn.LayerNorm(width)
        self.reader = Reader(len(QUESTION_WORDS), width)
        side = size // 4
        axis = (2 * torch.arange(side) + 1) / side - 1
        self.register_buffer("at", torch.cartesian_prod(axis, axis), persistent=False)
        self.offset = nn.Linear(width, 2)
        self.roles = nn.Linear(width, MAPS)
        self.says = nn.ModuleList(nn.Linear(width if k == 0 else hidden, hidden) for k in range(layers))
        self.map = nn.Linear(hidden, 1)
        self.together = nn.ModuleList(nn.Linear(NUMBERS if k == 0 else hidden, hidden) for k in range(layers))
        self.gates = nn.ModuleList(nn.Linear(width, 2 * hidden) for _ in range(2 * layers))
        self.answer = nn.Linear(hidden, 1)

    def on(self, device: torch.device) -> Self:
        """The network itself, on ``device``: see :meth:`fmtt.models.convolutional.ConvolutionalNetwork.on`."""
        return self if self.cells.places.device == device else self.to(device)

    def see(self, x: Tensor) -> Seen:
        """What there is to see in pictures ``(B, 3, size, size)``."""
        cells = self.norm(self.cells(x.to(self.cells.places.dtype)))
        return Seen(cells, self.at + torch.tanh(self.offset(cells)) * (4 / self.size))

    def ask(self, seen: Seen, tokens: Tensor) -> Answers:
        """Answers to Q questions ``tokens (B, Q, L)`` about each picture that was seen."""
        words, known = (read.unflatten(0, tokens.shape[:2]) for read in self.reader(tokens.flatten(0, 1)))
        question = (words * known[..., None]).sum(2) / known.sum(2, keepdim=True)
        share = self.roles(words).masked_fill(~known[..., None], -torch.inf).softmax(2)
        groups = torch.einsum("bqlk,bqlw->bqkw", share, words)
        gates = iter(self.gates)
        h = seen.cells[:, None, None]
        for layer in self.says:
            h = gated(layer(h), next(gates)(groups)[:, :, :, None])
        maps = self.map(h)[..., 0].transpose(2, 3)
        h = numbers(torch.sigmoid(maps), seen.places[:, None])
        for layer in self.together:
            h = gated(layer(h), next(gates)(question))
        return Answers(self.answer(h)[..., 0], maps)

    def forward(self, x: Tensor, tokens: Tensor) -> Tensor:
        """The log-odds for one question ``tokens (B, L)`` about each picture, ``(B,)``."""
        return self.ask(self.see(x), tokens[:, None]).log_odds[:, 0]


def numbers(maps: Tensor, places: Tensor) -> Tensor:
    """The sums of ``maps (..., cells, MAPS)``, and how far each reaches to the four sides, ``(..., NUMBERS)``.

    Reach is 0 where a map is empty, 1 at the middle and 2 at the edge of the picture.
    """
    toward = torch.cat([1 + places, 1 - places], dim=-1)
    reach = (maps[..., None] * toward[..., None, :]).amax(-3)
    return torch.cat([maps.sum(-2), reach.flatten(-2)], dim=-1)


def gated(h: Tensor, gate: Tensor) -> Tensor:
    """``silu(h (1 + gain) + shift)``; ``gate`` holds both, along its last axis."""
    gain, shift = gate.chunk(2, dim=-1)
    return F.silu(h * (1 + gain) + shift)
