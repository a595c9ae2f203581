"""Which method finds good samples at a cost: ``python scripts/maximisers.py FOLDER ... [--out OUT]``.

Reads runs of ``role=maximise``; :mod:`fmtt.studies.maximisers` says how. Writes OUT.md, OUT.csv and OUT.png,
the best methods, and OUT_all.png.
"""

import sys
from pathlib import Path

from fmtt.run.cli import script
from fmtt.studies.maximisers_tables import study_maximisers
from fmtt.studies.output import from_command_line


def main() -> None:
    from_command_line(__doc__, study_maximisers, Path("outputs/maximisers"))


if __name__ == "__main__":
    sys.exit(script(main))
