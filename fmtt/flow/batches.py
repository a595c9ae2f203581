"""How a population ``(G, N, *D)`` becomes the batches ``(B, *D)`` that a model sees, and is put together again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import torch
from torch import Tensor

from fmtt.checks import whole_number
from fmtt.flow.conditions import for_rows
from fmtt.flow.protocols import FlowMap, Velocity

Made = TypeVar("Made")


@dataclass
class Room:
    """What a device was found to hold while it computed.

    Attributes:
        most: the largest batch that is tried; None as long as the memory has not run out.
    """

    most: int | None = None


@dataclass(frozen=True)
class Batches:
    """The rule.

    Attributes:
        chunk: the largest batch; None for no limit.
        prompt: the number of the prompt of each group, ``(G,)``, or None for a model that is told nothing.
        prompts: how many prompts the whole run has; this process may hold the groups of some of them only.
        room: shared by all copies of a rule.
    """

    chunk: int | None = None
    prompt: Tensor | None = None
    prompts: int = 1
    room: Room = field(default_factory=Room, compare=False)

    def __post_init__(self) -> None:
        if self.chunk is not None:
            whole_number("population.chunk", self.chunk, 1)

    def each(self, call: Callable[..., Made], x: Tensor, *others: Tensor) -> list[Made]:
        """``call(part, ..., prompt)`` for parts ``(B, *D)`` of ``x (G, N, *D)`` and of ``others``.

        ``prompt (B,)`` has the number of the prompt of each row, or is None. If the memory of the device runs out, the
        part is cut in two, and so are all later ones; the ledger keeps the calls that were lost.

        Raises:
            torch.OutOfMemoryError: if a single row does not fit.
        """
        flat = [values.flatten(0, 1) for values in (x, *others)]
        prompts = None if self.prompt is None else self.prompt[:, None].expand(x.shape[:2]).flatten()
        made: list[Made] = []
        start = 0
        while start < len(flat[0]):
            rows = slice(start, start + self._size(len(flat[0])))
            parts = [values[rows] for values in flat]
            try:
                made.append(call(*parts, None if prompts is None else prompts[rows]))
            except torch.OutOfMemoryError:
                if len(parts[0]) == 1:
                    raise
                self.room.most = len(parts[0]) // 2
            else:
                start = rows.stop
        return made

    def _size(self, most: int) -> int:
        """The largest batch now, of at most ``most`` rows."""
        return min(size for size in (self.chunk, self.room.most, most) if size is not None)

    def velocity(self, model: Velocity, x: Tensor, t: float) -> Tensor:
        """``b_t(x)`` of ``x (G, N, *D)``."""

        def of(part: Tensor, prompt: Tensor | None) -> Tensor:
            return for_rows(model, prompt).velocity(part, part.new_full(part.shape[:1], t))

        return joined(self.each(of, x)).reshape(x.shape)

    def flow_map(self, model: FlowMap, x: Tensor, s: float, t: float) -> Tensor:
        """``X_{s,t}(x)`` of ``x (G, N, *D)``."""

        def of(part: Tensor, prompt: Tensor | None) -> Tensor:
            times = (part.new_full(part.shape[:1], time) for time in (s, t))
            return for_rows(model, prompt).flow_map(part, *times)

        return joined(self.each(of, x)).reshape(x.shape)


def joined(parts: Sequence[Tensor]) -> Tensor:
    """The parts of a batch as one; a single one is not copied."""
    return parts[0] if len(parts) == 1 else torch.cat(list(parts))
