"""Pictures and pages of runs and sweeps, made from the files of their folders alone, never from a model."""

from __future__ import annotations

from pathlib import Path

from fmtt.tracking import Exhibit


def write_artefacts(folder: Path) -> Path:
    """Write the pictures and ``report.html`` of a finished run; returns the path of the page."""
    from fmtt.report.page import write_run  # imports matplotlib: only when there is something to draw

    return write_run(Path(folder))


def make_exhibit(folder: Path) -> Exhibit:
    """What loggers may show of a finished run whose pictures are drawn."""
    from fmtt.report.exhibit import read_exhibit

    return read_exhibit(Path(folder))


def summarise(folder: Path) -> list[str]:
    """Write ``summary.csv`` and ``compare.html`` of a sweep; returns a line for each run that failed."""
    from fmtt.report.sweep import failures, write_sweep

    return failures(write_sweep(Path(folder)))
