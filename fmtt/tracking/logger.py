"""The methods that every logger has."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from fmtt.run_folder import Metrics
from fmtt.tracking.showcase import Showcase


class Logger(Protocol):
    """One place where a run is recorded. The methods are called in this order; ``close`` is always called."""

    def start(self, config: dict[str, Any], folder: Path, earlier: Path) -> None:
        """Begin, with the resolved configuration; files go below ``folder``.

        ``earlier`` is the folder of the attempt that this run resumes; it is ``folder`` itself if there is no other.
        """

    def log(self, row: Mapping[str, float], step: int) -> None:
        """One row of the history."""

    def show(self, showcase: Showcase) -> None:
        """Pictures and particles of the finished run; not called if nothing is drawn."""

    def finish(self, metrics: Metrics) -> None:
        """The results of the run."""

    def close(self, failed: bool) -> None:
        """Write the rest and release all resources; also called if ``start`` raised."""


def scalars(metrics: Metrics) -> dict[str, float]:
    """The numbers among the results."""
    return {name: float(value) for name, value in metrics.items() if isinstance(value, int | float)}
