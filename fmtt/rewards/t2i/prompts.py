"""Prompts as tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from torch import Tensor

Condition = TypeVar("Condition")


def tokens_of(tokenizer: Any, texts: Sequence[str], longest: int) -> dict[str, Tensor]:
    """``input_ids`` and ``attention_mask`` of P texts, cut or padded to ``(P, longest)``."""
    made = tokenizer(list(texts), padding="max_length", truncation=True, max_length=longest, return_tensors="pt")
    return {name: made[name] for name in ("input_ids", "attention_mask")}


def needed(condition: Condition | None) -> Condition:
    """The condition itself.

    Raises:
        ValueError: if there is none.
    """
    if condition is None:
        raise ValueError("prompt=null: this reward needs a prompt")
    return condition
