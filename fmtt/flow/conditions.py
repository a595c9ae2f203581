"""Conditions: what models and rewards are told about a prompt.

There is one entry for each of P prompts. Inside the package every batch carries the number of the prompt of each of its
rows, ``(B,)``; the entries themselves are looked up where a model or a reward is called.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

Encoded = Tensor | Mapping[str, Tensor] | list[Any]  # one entry for each prompt along the first dimension


class Told(Protocol):
    """A model or a reward that can be told about prompts."""

    def told(self, prompt: Tensor) -> Any:
        """The same for the rows of one batch, whose prompts have the numbers ``prompt (B,)``."""
        ...


def for_rows(thing: Any, prompt: Tensor | None) -> Any:
    """``thing``, told about the prompts of the rows of a batch where there are prompts."""
    return thing if prompt is None else thing.told(prompt)


def entries(conditions: Tensor | Sequence[Any]) -> Encoded:
    """The entries that a user gave: numbers and tensors of one shape become a tensor, others stay a list.

    Raises:
        ValueError: if there are none.
    """
    if len(conditions) == 0:
        raise ValueError("conditions=[]: needs one entry for each prompt")
    if isinstance(conditions, Tensor):
        return conditions
    listed = list(conditions)
    if all(isinstance(entry, Tensor) and entry.shape == listed[0].shape for entry in listed):
        return torch.stack(listed)
    if all(isinstance(entry, int | float) for entry in listed):
        return torch.tensor(listed)
    return listed


def encoded(given: Encoded, encode: Any) -> Encoded:
    """Texts as ``encode`` turns them into tensors, once; entries that are no texts, or without ``encode``, as they are.

    Raises:
        ValueError: if the encoder does not return one row for each text.
    """
    if encode is None or not (isinstance(given, list) and all(isinstance(entry, str) for entry in given)):
        return given
    made: Encoded = encode(given)
    for value in made.values() if isinstance(made, Mapping) else [made]:
        if len(value) != len(given):
            raise ValueError(f"encode_prompts: must return one row for each of {len(given)} texts, got {len(value)}")
    return made


def count(given: Encoded) -> int:
    """P."""
    return len(next(iter(given.values()))) if isinstance(given, Mapping) else len(given)


def rows(given: Encoded, prompt: Tensor) -> Encoded:
    """The entries of the prompts with the numbers ``prompt (B,)``."""
    if isinstance(given, Tensor):
        return given[prompt]
    if isinstance(given, Mapping):
        return {name: value[prompt] for name, value in given.items()}
    return [given[number] for number in prompt.tolist()]


def moved(given: Encoded, device: torch.device | str) -> Encoded:
    """The same on another device."""
    if isinstance(given, Tensor):
        return given.to(device)
    if isinstance(given, Mapping):
        return {name: value.to(device) for name, value in given.items()}
    return given
