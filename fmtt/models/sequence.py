"""Attention over sequences, written out: the fused kernels have no forward-mode derivative."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class SequenceAttention(nn.Module):
    """Every place of ``x (B, L, width)`` looks at the known places of ``seen (B, M, other)``.

    Args:
        width: of ``x`` and of the result.
        other: width of ``seen``.
        heads: attention heads; divides ``width``.
    """

    def __init__(self, width: int, other: int, heads: int = 4):
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(other, 2 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, seen: Tensor, known: Tensor | None = None) -> Tensor:
        """``known (B, M)`` says which places of ``seen`` hold something; None for all."""
        q = self.query(x).unflatten(2, (self.heads, -1)).transpose(1, 2)
        k, v = self.key_value(seen).unflatten(2, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)
        scores = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5
        if known is not None:
            scores = scores.masked_fill(~known[:, None, None], -torch.inf)
        return self.out((torch.softmax(scores, dim=-1) @ v).transpose(1, 2).flatten(2))


class Layer(nn.Module):
    """A transformer layer: places look at each other, then each is transformed by itself.

    Args:
        width: of each place.
    """

    def __init__(self, width: int):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.attention = SequenceAttention(width, width)
        self.each = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.SiLU(), nn.Linear(2 * width, width)
        )

    def forward(self, x: Tensor, known: Tensor | None = None) -> Tensor:
        inner = self.norm(x)
        x = x + self.attention(inner, inner, known)
        return x + self.each(x)
