"""Reward against cost with fidelity beside it: ``python scripts/frontier.py FOLDER ... [--out outputs/frontier]``.

Reads the runs of ``experiment=frontier`` on MNIST; :mod:`fmtt.studies.frontier` says how. Writes ``OUT.png`` and
``OUT.md`` and prints the tables.
"""

import argparse
import sys
from pathlib import Path

from fmtt.run.cli import script
from fmtt.studies.frontier import study_frontier


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, default=Path("outputs/frontier"))
    parser.add_argument("--of", default="auto", help="the method that is drawn in black; which others beat it is said")
    options = parser.parse_args()
    print(study_frontier(options.folders, options.of, options.out))


if __name__ == "__main__":
    sys.exit(script(main))
