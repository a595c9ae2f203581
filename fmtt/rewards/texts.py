"""Texts as tensors, for rewards that hand texts on instead of encoding them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence


def bytes_of(texts: Sequence[str]) -> Tensor:
    """The UTF-8 bytes of P texts, ``(P, L)`` uint8, padded by zeros on the right."""
    return pad_sequence([torch.tensor(list(text.encode()), dtype=torch.uint8) for text in texts], batch_first=True)


def texts_of(rows: Tensor) -> list[str]:
    """The inverse of :func:`bytes_of`, for rows ``(B, L)`` in any order.

    Raises:
        ValueError: if they are not bytes.
    """
    if rows.dtype != torch.uint8:
        raise ValueError(f"conditions of type {rows.dtype}: this reward is told the texts of prompts")
    return [bytes(row).rstrip(b"\0").decode() for row in rows.tolist()]


def listed(texts: str | Sequence[str] | None) -> list[str]:
    """A setting that is a text, several, or none, as a list."""
    if texts is None:
        return []
    return [texts] if isinstance(texts, str) else list(texts)
