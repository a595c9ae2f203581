"""A logger that costs the log and not the run, whatever happens to it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from threading import Event, Thread
from typing import Any, NamedTuple

from fmtt.run_folder import Metrics
from fmtt.tracking.logger import Logger
from fmtt.tracking.showcase import Showcase

PATIENCE = 60.0  # seconds that a run waits for a logger
BACKLOG = 64  # rows that may wait for a logger that is slower than the run
silent: list[Guarded] = []  # those that did not answer; their threads, and what they wait for, outlive the run


class Order(NamedTuple):
    """A call of a logger, whether it closes it, and whether it has been made."""

    call: Callable[[], None]
    closes: bool
    done: Event


class Guarded:
    """A :class:`Logger` that is called in a thread of its own.

    A logger that raises is closed and not called again; one that does not answer is left alone. Either is said once on
    stderr. Rows are handed over without waiting, up to :data:`BACKLOG` of them.

    Args:
        logger: the logger.
        patience: seconds that its other methods may take; None for :data:`PATIENCE`.
    """

    def __init__(self, logger: Logger, patience: float | None = None):
        self.logger, self.patience = logger, PATIENCE if patience is None else patience
        self.raised, self.silent = False, False
        self._calls: SimpleQueue[Order | None] = SimpleQueue()
        Thread(target=self._work, daemon=True).start()

    def start(self, config: dict[str, Any], folder: Path, earlier: Path) -> None:
        self._wait_for(partial(self.logger.start, config, folder, earlier))

    def log(self, row: Mapping[str, float], step: int) -> None:
        if self._calls.qsize() < BACKLOG:
            self._hand_over(partial(self.logger.log, row, step))
        else:
            self._wait_for(partial(self.logger.log, row, step))

    def show(self, showcase: Showcase) -> None:
        self._wait_for(partial(self.logger.show, showcase))

    def finish(self, metrics: Metrics) -> None:
        self._wait_for(partial(self.logger.finish, metrics))

    def close(self, failed: bool) -> None:
        self._wait_for(partial(self.logger.close, failed), closes=True)
        self._calls.put(None)

    def _hand_over(self, call: Callable[[], None], closes: bool = False) -> Event:
        order = Order(call, closes, Event())
        if self.silent:
            order.done.set()
        else:
            self._calls.put(order)
        return order.done

    def _wait_for(self, call: Callable[[], None], closes: bool = False) -> None:
        if not self._hand_over(call, closes).wait(self.patience):
            self.silent = True
            silent.append(self)
            self._say(f"has not answered for {self.patience:.0f} seconds")

    def _work(self) -> None:
        while (order := self._calls.get()) is not None:
            try:
                if order.closes or not self.raised:
                    order.call()
            except Exception as error:
                if not self.raised:
                    self._say(f"failed with {type(error).__name__}: {' '.join(str(error).split())}")
                self.raised = True
            order.done.set()

    def _say(self, what: str) -> None:
        name = type(self.logger).__name__
        print(f"fmtt: warning: the logger {name} {what}; the run goes on without it", file=sys.stderr)
