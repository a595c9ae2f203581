"""How far a run has come: all that a checkpoint holds."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from fmtt.methods.loop import State
from fmtt.smc.totals import Totals


@dataclass
class Reached:
    """What a checkpoint holds; it is kept up to date while the run goes on.

    Attributes:
        state: after the last finished step; None before there is one.
        totals: the diagnostics until then.
        history: the rows of the history until then.
        counts: the ledger then, without the calls of a step that was cut off.
        frames: of the film until then.
    """

    state: State | None = None
    totals: Totals | None = None
    history: list[dict[str, float]] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    frames: list[dict[str, Tensor]] = field(default_factory=list)
