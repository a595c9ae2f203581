"""A run that leaves a checkpoint, whatever ends it."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from fmtt.api import Run
from fmtt.flow.faults import CallError, UnavailableError
from fmtt.run.alone import KilledError
from fmtt.run.checkpoint import load, save
from fmtt.run.reached import Reached

FAILURES = (  # one line says why
    FloatingPointError,
    CallError,
    UnavailableError,
    KilledError,
    torch.OutOfMemoryError,
)
STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def resumable(run: Run, path: Path, checkpoint: Path | None) -> Iterator[Reached]:
    """Start from ``checkpoint`` if there is one; whatever ends the block too early leaves one in ``path``.

    Raises:
        ConfigurationError: if ``checkpoint`` is damaged.
    """
    reached = load(checkpoint, run) if checkpoint else Reached()
    try:
        yield reached
    except BaseException as stop:
        if reached.state is None:
            raise
        run.meter.counts = dict(reached.mark.counts)
        with undisturbed():
            left = saved(path, reached)
        if isinstance(stop, (KeyboardInterrupt, *FAILURES)):
            raise type(stop)("; ".join(filter(None, (str(stop), left)))) from None
        print(f"fmtt: {left}", file=sys.stderr)
        raise


def saved(path: Path, reached: Reached) -> str:
    """What is said of the checkpoint that is left in ``path``."""
    try:
        save(path, reached)
    except OSError as error:
        return f"no checkpoint could be written: {error}"
    return f"checkpoint in {path}; the same command with resume=true goes on from it"


@contextmanager
def undisturbed() -> Iterator[None]:
    """Inside, signals to stop are not heard: a second Ctrl-C does not cut off the checkpoint of the first."""
    try:
        before = {stop: signal.signal(stop, signal.SIG_IGN) for stop in STOPS}
    except ValueError:  # in a thread, which hears none
        before = {}
    try:
        yield
    finally:
        for stop, handler in before.items():
            signal.signal(stop, handler)
