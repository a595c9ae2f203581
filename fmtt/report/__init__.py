"""Pictures and pages of runs and sweeps, made from the files of their folders alone, never from a model.

``common`` holds what all pages need, ``run`` the page of one run, ``comparison`` the page of many.
"""

from __future__ import annotations

from pathlib import Path

from fmtt.run_folder import COMPARISON
from fmtt.tracking import Showcase

# the libraries for plots are slow to import, so they are imported only when there is something to draw


def write_artefacts(folder: Path) -> Path:
    """Write the pictures and ``report.html`` of a finished run; returns the path of the page."""
    from fmtt.report.run.page import write_pictures_and_page

    return write_pictures_and_page(Path(folder))


def read_showcase(folder: Path) -> Showcase:
    """The pictures and tables of a finished run for its loggers; its pictures must be drawn."""
    from fmtt.report.run.showcase import read_showcase

    return read_showcase(Path(folder))


def summarise(folder: Path) -> list[str]:
    """Write ``summary.csv`` and ``compare.html`` of a sweep; returns a line for each run that failed."""
    from fmtt.report.comparison.page import write_page
    from fmtt.report.comparison.runs import with_details
    from fmtt.report.comparison.summary_table import write_summary
    from fmtt.report.comparison.sweep import failures, read_sweep

    folder = Path(folder)
    runs = read_sweep(folder)
    write_summary(folder, runs)
    write_page(folder / COMPARISON, folder.resolve(), [with_details(run) for run in runs])
    return failures(runs)
