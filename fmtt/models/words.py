"""Texts for networks: words as numbers, and a small transformer that reads them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from fmtt.data.captions import LONGEST, VOCABULARY, words_of
from fmtt.models.sequence import Layer

PADDING = 0  # the number of no word; words are counted from 1


def tokens_of(texts: Iterable[Sequence[str]], vocabulary: Sequence[str]) -> Tensor:
    """The numbers in ``vocabulary`` of the words of each text, ``(B, LONGEST)``; the rest is :data:`PADDING`."""
    numbers = {word: number for number, word in enumerate(vocabulary, start=1)}
    texts = list(texts)
    rows = torch.full((len(texts), LONGEST), PADDING)
    for row, words in zip(rows, texts, strict=True):
        row[: len(words)] = torch.tensor([numbers[word] for word in words])
    return rows


def caption_tokens(texts: Iterable[str]) -> Tensor:
    """The numbers of the words of captions, ``(B, LONGEST)``.

    Raises:
        ValueError: if a word is unknown, or a text has too many words.
    """
    return tokens_of(map(words_of, texts), VOCABULARY)


def trimmed(tokens: Tensor) -> Tensor:
    """``tokens (*B, L)`` without the places at their end that are empty in all texts."""
    used = (tokens != PADDING).flatten(0, -2).any(0)
    return tokens[..., : int(used.sum())]


class Reader(nn.Module):
    """A transformer over words.

    Args:
        vocabulary: how many words there are.
        width: of each word.
        layers: transformer layers.
    """

    def __init__(self, vocabulary: int, width: int, layers: int = 2):
        super().__init__()
        self.words = nn.Embedding(vocabulary + 1, width)
        self.places = nn.Parameter(nn.init.normal_(torch.empty(LONGEST, width)))  # as loud as words: order tells roles
        self.layers = nn.ModuleList(Layer(width) for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """What each word means in its text ``(B, L, width)``, and which places hold words ``(B, L)``.

        A text without words is read as one unknown word.
        """
        known = (tokens != PADDING) | (torch.arange(tokens.shape[1], device=tokens.device) == 0)
        h = self.words(tokens) + self.places[: tokens.shape[1]]
        for layer in self.layers:
            h = layer(h, known)
        return self.norm(h), known
