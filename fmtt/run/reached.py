"""How far a run has come, and the checkpoint that is left of it when it is stopped."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from fmtt.api import Run
from fmtt.methods.loop import State
from fmtt.rewards.server import JudgeError
from fmtt.run.checkpoint import load, save
from fmtt.run.errors import ConfigurationError
from fmtt.smc.totals import Totals


@dataclass
class Reached:
    """What a checkpoint holds; it is kept up to date while the run goes on.

    Attributes:
        state: after the last finished step; None before there is one.
        totals: the diagnostics until then.
        history: the rows of the history until then.
        counts: the ledger then, without the calls of a step that was cut off.
    """

    state: State | None = None
    totals: Totals | None = None
    history: list[dict[str, float]] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)


@contextmanager
def resumable(run: Run, path: Path, checkpoint: Path | None) -> Iterator[Reached]:
    """Start from ``checkpoint`` if there is one; Ctrl-C, SIGTERM or a judge that fails leaves one in ``path``.

    Raises:
        ConfigurationError: if ``checkpoint`` is damaged.
    """
    reached = restored(run, checkpoint) if checkpoint else Reached()
    try:
        yield reached
    except (KeyboardInterrupt, JudgeError) as stop:
        if reached.state is None or reached.totals is None:
            raise
        run.meter.counts = reached.counts
        save(path, reached.state, reached.totals, run, reached.history)
        left = f"checkpoint in {path}; the same command with resume=true goes on from it"
        raise type(stop)("; ".join(filter(None, (str(stop), left)))) from None


def restored(run: Run, checkpoint: Path) -> Reached:
    """What ``checkpoint`` holds; its ledger is entered in the meter of the run."""
    try:
        state, totals, history = load(checkpoint, run)
    except ValueError as error:
        raise ConfigurationError(str(error)) from error
    return Reached(state, totals, history, dict(run.meter.counts))
