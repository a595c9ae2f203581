"""Which methods make clocks show which time: ``python scripts/clocks.py FOLDER ... [--out outputs/clocks]``.

Reads the runs of ``experiment=clocks``; :mod:`fmtt.studies.clocks` says how. Writes OUT.md, a row for each method and a
column for each time, and OUT.png, a clock of each.
"""

import argparse
import sys
from pathlib import Path

from fmtt.run.cli import script
from fmtt.studies.clocks import study_clocks


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, default=Path("outputs/clocks"))
    options = parser.parse_args()
    print(study_clocks(options.folders, options.out))


if __name__ == "__main__":
    sys.exit(script(main))
