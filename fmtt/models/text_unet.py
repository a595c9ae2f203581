"""The two-time U-Net that is told a text: its times are embedded with the sentence, and pixels attend to words."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from fmtt.data.captions import VOCABULARY
from fmtt.models.unet import Convolution, Trunk
from fmtt.models.words import Reader


class WordAttention(nn.Module):
    """Pixels look at words. It is written out, as :class:`fmtt.models.unet.Attention` is."""

    def __init__(self, channels: int, words: int, heads: int = 4, groups: int = 8):
        super().__init__()
        self.heads = heads
        self.norm = nn.GroupNorm(groups, channels)
        self.query = Convolution(channels, channels, kernel=1)
        self.key_value = nn.Linear(words, 2 * channels)
        self.out = Convolution(channels, channels, kernel=1, zero=True)

    def forward(self, x: Tensor, words: Tensor, known: Tensor) -> Tensor:
        """``x (B, C, H, W)``, ``words (B, L, width)`` and ``known (B, L)``."""
        b, c, h, w = x.shape
        q = self.query(self.norm(x)).reshape(b, self.heads, c // self.heads, h * w)
        k, v = self.key_value(words).reshape(b, -1, 2, self.heads, c // self.heads).permute(2, 0, 3, 4, 1)
        scores = q.transpose(-1, -2) @ k * (c // self.heads) ** -0.5
        attention = torch.softmax(scores.masked_fill(~known[:, None, None], -torch.inf), dim=-1)
        return x + self.out((v @ attention.transpose(-1, -2)).reshape(b, c, h, w))


class TextUNet(Trunk):
    """Average velocity ``v_{s,t}(x | text)``.

    Args:
        channels, size, width, blocks, embedding: as in :class:`Trunk`.
        words: width of the encoded words.

    Shapes: ``x (B, C, size, size)``, ``s, t (B,)`` with ``0 <= s <= t <= 1``; ``condition`` as :meth:`encode` returns
    it, one row for each row of ``x``; the result is like ``x``.
    """

    def __init__(
        self, channels: int = 3, size: int = 32, width: int = 64, blocks: int = 2, embedding: int = 192, words: int = 96
    ):
        super().__init__(channels, size, width, blocks, embedding)
        self.reader = Reader(len(VOCABULARY), words)
        self.sentence = nn.Linear(words, embedding)
        self.look = nn.ModuleList(WordAttention(2 * width, words) for _ in range(blocks))

    def encode(self, tokens: Tensor) -> dict[str, Tensor]:
        """What the network is told of texts ``tokens (B, L)``."""
        words, known = self.reader(tokens)
        return {"words": words, "known": known}

    def forward(self, x: Tensor, s: Tensor, t: Tensor, condition: Mapping[str, Tensor]) -> Tensor:
        return self.framed(x, s, t, lambda inner: self.correction(inner, s, t, condition))

    def correction(self, x: Tensor, s: Tensor, t: Tensor, condition: Mapping[str, Tensor]) -> Tensor:
        words, known = condition["words"], condition["known"]
        mean = (words * known[..., None]).sum(1) / known.sum(1, keepdim=True)
        embedding = self.times(s, t) + self.sentence(mean)
        return self.through(x, embedding, lambda k, h: self.look[k](self.attention[k](h), words, known))
