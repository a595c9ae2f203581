"""The first tokens of the answers Yes and No."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

YES = ("Yes", "yes", " yes", " Yes")  # as in GenEval 2
NO = ("No", "no", " no", " No")


def answer_tokens(tokenizer: Any) -> tuple[list[int], list[int]]:
    """The numbers of the tokens of Yes and of No; equal ones are counted once.

    A word that is split has no token of its own: its first piece could begin other words, even those of the opposite
    answer. So it is refused.

    Raises:
        ValueError: if a word is not one token, or a token stands for Yes and No.
    """
    yes, no = (whole_tokens(tokenizer, words) for words in (YES, NO))
    if set(yes) & set(no):
        raise ValueError("reward.repository: its tokenizer does not tell Yes from No")
    return yes, no


def whole_tokens(tokenizer: Any, words: Sequence[str]) -> list[int]:
    pieces = [tokenizer(word, add_special_tokens=False)["input_ids"] for word in words]
    split = [word for word, numbers in zip(words, pieces, strict=True) if len(numbers) != 1]
    if split:
        raise ValueError(f"reward.repository: its tokenizer splits the answer {split[0]!r}, which must be one token")
    return sorted({numbers[0] for numbers in pieces})
