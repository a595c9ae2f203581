"""Which methods make clocks show which time: ``python scripts/clocks.py FOLDER ... [--out outputs/clocks]``.

Reads the runs of ``experiment=clocks``; :mod:`fmtt.studies.clocks` says how. Writes OUT.md, a row for each method and a
column for each time, and OUT.png, a clock of each.
"""

import sys
from pathlib import Path

from fmtt.run.cli import script
from fmtt.studies.clocks import study_clocks
from fmtt.studies.output import from_command_line


def main() -> None:
    from_command_line(__doc__, study_clocks, Path("outputs/clocks"))


if __name__ == "__main__":
    sys.exit(script(main))
