"""What a run came to: its result, that of the base model, and the time it took."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from fmtt.methods.result import Result
from fmtt.smc.totals import Totals


@dataclass(frozen=True)
class Outcome:
    """A finished run.

    Attributes:
        result: of the tilted run.
        totals: its diagnostics.
        base: the result of the base model, or None.
        steps: how many steps it took.
    """

    result: Result
    totals: Totals
    base: Result | None
    steps: int

    def groups(self, which: Tensor) -> Outcome:
        """The groups ``which (G,)`` alone."""
        base = None if self.base is None else self.base.groups(which)
        return replace(self, result=self.result.groups(which), totals=self.totals.groups(which), base=base)

    @staticmethod
    def joined(parts: Sequence[Outcome]) -> Outcome:
        """The outcome of several parts of the groups, in their order: the one gathering step before metrics."""
        bases = [part.base for part in parts if part.base is not None]
        totals = Totals.joined([part.totals for part in parts])
        base = Result.joined(bases) if bases else None
        return Outcome(Result.joined([part.result for part in parts]), totals, base, parts[0].steps)


@dataclass(frozen=True)
class Timing:
    """Seconds of the whole run, of the method alone and of the model in it, and the largest memory in MiB."""

    total: float
    method: float
    model: float
    peak_memory: float


def held(prompt: Tensor) -> list[int]:
    """The numbers of the prompts among those of the groups, ``(G,)``."""
    return prompt.unique().tolist()
