"""How a population ``(G, N, *D)`` becomes the batches ``(B, *D)`` that a model sees, and is put together again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Protocol, TypeVar

import torch
from torch import Tensor

from fmtt.checks import whole_number
from fmtt.flow.conditions import for_rows
from fmtt.flow.faults import CallError, NoGradientError
from fmtt.flow.protocols import FlowMap, Velocity

Made = TypeVar("Made")


@dataclass
class Room:
    """What a device was found to hold while it computed.

    Attributes:
        most: the largest batch that is tried; None as long as the memory has not run out.
    """

    most: int | None = None


class Processes(Protocol):
    """The processes that hold a run together. Each of them knows all particles and computes some of the batches.

    Attributes:
        rank: the number of this process.
        count: how many there are.
    """

    @property
    def rank(self) -> int: ...

    @property
    def count(self) -> int: ...

    def exchange(self, compute: Callable[[], list[Made]]) -> list[Made]:
        """What ``compute`` makes in each of the processes, in their order; an error of one is raised in all."""
        ...


@dataclass(frozen=True)
class Alone:
    """A single process."""

    rank: int = 0
    count: int = 1

    def exchange(self, compute: Callable[[], list[Made]]) -> list[Made]:
        return compute()


@dataclass(frozen=True)
class Batches:
    """The rule.

    Attributes:
        chunk: the largest batch; None for no limit.
        prompt: the number of the prompt of each group, ``(G,)``, or None for a model that is told nothing.
        prompts: how many prompts the whole run has; this process may hold the groups of some of them only.
        room: shared by all copies of a rule.
        processes: those that share the batches out among themselves.
        groups: the numbers of the G groups, for errors; empty if they have none.
    """

    chunk: int | None = None
    prompt: Tensor | None = None
    prompts: int = 1
    room: Room = field(default_factory=Room, compare=False)
    processes: Processes = Alone()
    groups: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.chunk is not None:
            whole_number("population.chunk", self.chunk, 1)

    def each(self, call: Callable[..., Made], x: Tensor, *others: Tensor) -> list[Made]:
        """``call(part, ..., prompt)`` for parts ``(B, *D)`` of ``x (G, N, *D)`` and of ``others``.

        ``prompt (B,)`` has the number of the prompt of each row, or is None. If the memory of the device runs out, the
        part is cut in two, and so are all later ones; the ledger keeps the calls that were lost.

        Raises:
            torch.OutOfMemoryError: if a single row does not fit.
            CallError: of ``call``, with the numbers of the groups that the part belongs to.
        """
        flat = [values.flatten(0, 1) for values in (x, *others)]
        prompts = None if self.prompt is None else self.prompt[:, None].expand(x.shape[:2]).flatten()

        def placed(rows: slice, *parts: Tensor | None) -> Made:
            try:
                return call(*parts)
            except NoGradientError:  # of no group
                raise
            except CallError as error:
                if len(self.groups) != len(x):
                    raise
                first, last = (self.groups[row // x.shape[1]] for row in (rows.start, rows.stop - 1))
                where = f"group {first}" if first == last else f"groups {first} to {last}"
                raise CallError(f"{error}, in {where}") from error

        return self.processes.exchange(lambda: self._own(placed, flat, prompts))

    def _own(self, call: Callable[..., Made], flat: Sequence[Tensor], prompts: Tensor | None) -> list[Made]:
        """``call`` for the rows of this process, told which they are."""
        made: list[Made] = []
        start, stop, most = self._share(len(flat[0]))
        while start < stop:
            rows = slice(start, min(start + self._size(most), stop))
            parts = [values[rows] for values in flat]
            try:
                made.append(call(rows, *parts, None if prompts is None else prompts[rows]))
            except torch.OutOfMemoryError:
                if len(parts[0]) == 1:
                    raise
                self.room.most = len(parts[0]) // 2
            else:
                start = rows.stop
        return made

    def _share(self, rows: int) -> tuple[int, int, int]:
        """The first and the last row of this process, and its largest batch.

        Batches are those of a single process, unless they are fewer than the processes; then they are smaller.
        """
        count = self.processes.count
        most = min(size for size in (self.chunk, ceil(rows / count)) if size is not None)
        each = ceil(ceil(rows / most) / count) * most
        first = self.processes.rank * each
        return first, min(first + each, rows), most

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
