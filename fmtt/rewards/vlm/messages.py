"""Messages about pictures as token numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

Message = dict[str, Any]


def asked(text: str, pictures: int) -> Message:
    """What the user says: pictures, and a text below them."""
    return {"role": "user", "content": [{"type": "image"}] * pictures + [{"type": "text", "text": text}]}


def answered(text: str) -> Message:
    """What the assistant says."""
    return {"role": "assistant", "content": text}


def encoded(processor: Any, chats: Sequence[Sequence[Message]], pictures: int) -> dict[str, Tensor]:
    """The ``tokens`` of chats and which of them are ``known``, ``(chats, L)`` each; the rest is padding on the left.

    A chat that ends with the user goes on with the head of an answer. There is one token for each picture.

    Args:
        processor: that of the model, with a chat template.
        chats: the messages of each.
        pictures: in each chat.

    Raises:
        ValueError: if a text contains the token of a picture.
    """
    texts = [
        processor.apply_chat_template(list(chat), tokenize=False, add_generation_prompt=chat[-1]["role"] == "user")
        for chat in chats
    ]
    if any(text.count(processor.image_token) != pictures for text in texts):
        raise ValueError(f"reward: a prompt or a question contains {processor.image_token}, which stands for pictures")
    made = processor.tokenizer(texts, padding=True, padding_side="left", return_tensors="pt")
    return {"tokens": made["input_ids"], "known": made["attention_mask"]}


def expanded(values: Tensor, shown: Tensor, sizes: Sequence[int]) -> Tensor:
    """``values (R, L)`` with the entry of the k-th picture of each row repeated ``sizes[k]`` times.

    Args:
        values: one for each token.
        shown: which tokens stand for pictures, ``(R, L)``; as many in each row as there are sizes.
        sizes: of the pictures, in tokens.
    """
    repeats = torch.ones_like(values)
    repeats[shown] = torch.tensor(sizes, device=values.device).repeat(len(values))
    return values.flatten().repeat_interleave(repeats.flatten()).unflatten(0, (len(values), -1))
