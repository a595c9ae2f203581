"""Compare any runs on one page: ``python scripts/compare.py PATH ... [--out FILE]``.

A path is a run folder, a sweep, or any folder above them; a run that is given twice counts once. The page filters and
groups the runs by the settings that tell them apart, draws reward against cost and curves over time with bands, and
links to the pages of the runs. Runs that failed, broke or are not finished are listed with the reason. Its place is
``compare.html`` in the folder that all paths have in common, and is printed last.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from fmtt.report.comparison.page import write_page
from fmtt.report.comparison.runs import find_runs
from fmtt.run.cli import script
from fmtt.run_folder import COMPARISON


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH")
    parser.add_argument("--out", type=Path, metavar="FILE")
    options = parser.parse_args(arguments)
    common, runs = find_runs(options.paths)
    page = options.out or common / COMPARISON
    try:
        page.parent.mkdir(parents=True, exist_ok=True)
        write_page(page, common, runs)
    except OSError as error:
        raise ValueError(f"{page}: {error.strerror}") from error
    print(page)


if __name__ == "__main__":
    sys.exit(script(main))
