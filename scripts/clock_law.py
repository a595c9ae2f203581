"""Whether tilted clocks have the law that they should: ``python scripts/clock_law.py FOLDER [--out FILE]``.

Reads a folder of runs; :mod:`fmtt.studies.clock_law` says how. Writes OUT.md, log Z with the shares of clocks that are
far from ten past ten and near the wanted time, and OUT.png, the share of every hour.
"""

import argparse
import sys
from pathlib import Path

from fmtt.run.cli import script
from fmtt.studies.clock_law import study_clock_law


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, default=Path("outputs/clock_law"))
    options = parser.parse_args()
    print(study_clock_law(options.folder, options.out))


if __name__ == "__main__":
    sys.exit(script(main))
