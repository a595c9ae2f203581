"""Several loggers as one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from fmtt.run_folder import Metrics
from fmtt.tracking.guarded import Guarded
from fmtt.tracking.logger import Logger
from fmtt.tracking.showcase import Showcase


class Tracker:
    """Several loggers as one, in a ``with`` block: a crash still closes them, and W&B then gets a failing exit code.

    A logger that raises or hangs costs its log, and not the run.

    Args:
        loggers: any number of them, even none.
        folder: the run folder.
        earlier: the folder of the attempt that this run resumes, if it is another one.

    Example:
        >>> with Tracker([], Path(".")) as tracker:
        ...     tracker.start({"seed": 0})
        ...     tracker.log({"t": 0.0, "reward/mean": -1.0}, step=0)
        ...     tracker.finish({"reward/mean": -1.0})
    """

    def __init__(self, loggers: Iterable[Logger], folder: Path, earlier: Path | None = None):
        self.loggers = tuple(Guarded(logger) for logger in loggers)
        self.folder, self.earlier = Path(folder), Path(earlier or folder)

    def __enter__(self) -> Tracker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for logger in self.loggers:
            logger.close(kind is not None)

    def start(self, config: dict[str, Any]) -> None:
        """Begin with the resolved configuration as hyperparameters."""
        for logger in self.loggers:
            logger.start(config, self.folder, self.earlier)

    def log(self, row: Mapping[str, float], step: int) -> None:
        """One row of the history: ``t``, ``reward/mean``, ``ess``, ``log_z``, ..., all numbers."""
        for logger in self.loggers:
            logger.log(row, step)

    def show(self, showcase: Showcase) -> None:
        """Pictures and particles of the finished run."""
        for logger in self.loggers:
            logger.show(showcase)

    def finish(self, metrics: Metrics) -> None:
        """The results: numbers, or lists with one number per group."""
        for logger in self.loggers:
            logger.finish(metrics)
