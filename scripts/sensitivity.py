"""How much the flow map's quality is worth: ``python scripts/sensitivity.py FOLDER ... [--out outputs/sensitivity]``.

Reads the runs of ``experiment=sensitivity``; :mod:`fmtt.studies.sensitivity` says how. Writes OUT.md, a row for each
map and look-ahead, and OUT.png, gain and log Z against the error of the look-ahead.
"""

import argparse
import sys
from pathlib import Path

from fmtt.run.cli import script
from fmtt.studies.sensitivity import study_sensitivity


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, default=Path("outputs/sensitivity"))
    options = parser.parse_args()
    print(study_sensitivity(options.folders, options.out))


if __name__ == "__main__":
    sys.exit(script(main))
