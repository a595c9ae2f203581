"""How much the flow map's quality is worth: ``python scripts/sensitivity.py FOLDER ... [--out outputs/sensitivity]``.

Reads the runs of ``experiment=sensitivity``; :mod:`fmtt.studies.sensitivity` says how. Writes OUT.md, a row for each
map and look-ahead, and OUT.png, gain and log Z against the error of the look-ahead.
"""

import sys
from pathlib import Path

from fmtt.run.cli import script
from fmtt.studies.output import from_command_line
from fmtt.studies.sensitivity import study_sensitivity


def main() -> None:
    from_command_line(__doc__, study_sensitivity, Path("outputs/sensitivity"))


if __name__ == "__main__":
    sys.exit(script(main))
