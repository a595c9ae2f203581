"""How far a run has come: all that a checkpoint holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

from torch import Tensor

from fmtt.methods.loop import State
from fmtt.smc.totals import Totals


class Mark(NamedTuple):
    """The last finished step.

    Attributes:
        state: after it; None before there is one.
        totals: the diagnostics until then.
        counts: the ledger then, without the calls of a step that was cut off.
        rows: of the history until then.
        frames: of the film until then.
    """

    state: State | None = None
    totals: Totals | None = None
    counts: Mapping[str, int] = MappingProxyType({})
    rows: int = 0
    frames: int = 0


@dataclass
class Reached:
    """What a checkpoint holds; it is kept up to date while the run goes on.

    A signal may come between any two statements. So rows and frames are added first, and then one assignment replaces
    the mark: whatever stops the run finds all of a step or nothing of it.

    Attributes:
        mark: the last finished step.
        history: rows of the history; those behind the mark do not count.
        frames: of the film; those behind the mark do not count.
    """

    mark: Mark = Mark()
    history: list[dict[str, float]] = field(default_factory=list)
    frames: list[dict[str, Tensor]] = field(default_factory=list)

    @property
    def state(self) -> State | None:
        return self.mark.state
