"""Which settings of each method are best on the tasks of tuning: ``python scripts/tuning.py FOLDER ... [--out OUT]``.

Each FOLDER has trials of the method that it is named after; :mod:`fmtt.studies.tuning` says how. Writes OUT.md, all
trials, and OUT.txt, a line of words for each method.
"""

import sys
from pathlib import Path

from fmtt.run.cli import script
from fmtt.studies.output import from_command_line
from fmtt.studies.tuning import study_tuning


def main() -> None:
    from_command_line(__doc__, study_tuning, Path("outputs/tuning"))


if __name__ == "__main__":
    sys.exit(script(main))
