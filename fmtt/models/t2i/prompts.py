"""Prompts as the pipelines of diffusers encode them: by their own ``encode_prompt``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from fmtt.models.t2i.weights import Published, library

Encoder = Callable[[Sequence[str]], Mapping[str, Tensor]]  # texts to what a network is told of them, one row each
Encode = Callable[[Any, str], Mapping[str, Tensor]]  # a pipeline and one text to what its network is told, one row


@dataclass(frozen=True)
class PipelinePrompts:
    """An :data:`Encoder` whose pipeline is loaded when texts come, and leaves the memory after them.

    Attributes:
        weights: where it is.
        pipeline: the name of its class in diffusers.
        parts: the folder of each part that encodes, and the name of its class in transformers.
        absent: the other arguments of the pipeline, which it is made without.
        encode: what the network is told of one text.
    """

    weights: Published
    pipeline: str
    parts: Mapping[str, str]
    absent: Sequence[str]
    encode: Encode

    @torch.no_grad()
    def __call__(self, texts: Sequence[str]) -> Mapping[str, Tensor]:
        transformers, kind = library("transformers"), getattr(library("diffusers"), self.pipeline)
        parts = {folder: self._part(folder, getattr(transformers, name)) for folder, name in self.parts.items()}
        pipeline = kind(**parts, **dict.fromkeys(self.absent))
        return one_batch([self.encode(pipeline, text) for text in texts])

    def _part(self, folder: str, kind: Any) -> Any:
        if folder.startswith("tokenizer"):
            return self.weights.part(kind, folder)
        return self.weights.network_in(kind, folder, dtype="auto", spare=True)


def one_batch(told: Sequence[Mapping[str, Tensor]]) -> Mapping[str, Tensor]:
    """Single rows ``(1, ...)`` as one batch; sequences ``(1, T, ...)`` get zeros at the end, up to the longest."""
    return {name: torch.cat(padded([row[name] for row in told])) for name in told[0]}


def padded(rows: Sequence[Tensor]) -> list[Tensor]:
    """Tensors ``(1, T, ...)``, each with zeros at the end of its second dimension up to the largest T."""
    longest = max(row.shape[1] for row in rows)
    return [F.pad(row, (0, 0) * (row.ndim - 2) + (0, longest - row.shape[1])) for row in rows]


def in_type(condition: Mapping[str, Tensor], dtype: torch.dtype) -> Mapping[str, Tensor]:
    """The same with its floating-point numbers in ``dtype``."""
    return {name: value.to(dtype) if value.is_floating_point() else value for name, value in condition.items()}
