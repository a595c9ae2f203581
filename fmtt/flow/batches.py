"""How a population ``(G, N, *D)`` becomes the batches ``(B, *D)`` that a model sees, and is put together again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from fmtt.checks import whole_number
from fmtt.flow.conditions import for_rows
from fmtt.flow.protocols import FlowMap, Velocity


@dataclass(frozen=True)
class Batches:
    """The rule.

    Attributes:
        chunk: the largest batch; None for no limit.
        prompt: the number of the prompt of each group, ``(G,)``, or None for a model that is told nothing.
        prompts: how many prompts the whole run has; this process may hold the groups of some of them only.
    """

    chunk: int | None = None
    prompt: Tensor | None = None
    prompts: int = 1

    def __post_init__(self) -> None:
        if self.chunk is not None:
            whole_number("population.chunk", self.chunk, 1)

    def split(self, x: Tensor) -> list[tuple[Tensor, Tensor | None]]:
        """Parts ``(B, *D)`` of ``x (G, N, *D)``, each with the number of the prompt of its rows, ``(B,)``."""
        flat = x.flatten(0, 1)
        parts = (flat,) if self.chunk is None else flat.split(self.chunk)
        if self.prompt is None:
            return [(part, None) for part in parts]
        prompts = self.prompt[:, None].expand(x.shape[:2]).flatten().split(self.chunk or len(flat))
        return list(zip(parts, prompts, strict=True))

    def velocity(self, model: Velocity, x: Tensor, t: float) -> Tensor:
        """``b_t(x)`` of ``x (G, N, *D)``."""
        made = [for_rows(model, rows).velocity(part, part.new_full(part.shape[:1], t)) for part, rows in self.split(x)]
        return joined(made).reshape(x.shape)

    def flow_map(self, model: FlowMap, x: Tensor, s: float, t: float) -> Tensor:
        """``X_{s,t}(x)`` of ``x (G, N, *D)``."""
        made = [
            for_rows(model, rows).flow_map(part, part.new_full(part.shape[:1], s), part.new_full(part.shape[:1], t))
            for part, rows in self.split(x)
        ]
        return joined(made).reshape(x.shape)


def joined(parts: Sequence[Tensor]) -> Tensor:
    """The parts of a batch as one; a single one is not copied."""
    return parts[0] if len(parts) == 1 else torch.cat(list(parts))
