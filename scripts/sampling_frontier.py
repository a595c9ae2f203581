"""Error of the tilted law against cost: ``python scripts/sampling_frontier.py FOLDER ... [--out OUT]``.

Every folder holds the runs of ``experiment=frontier_sampling`` on one task and is named after it;
:mod:`fmtt.studies.sampling_frontier` says how they are read. Writes ``OUT.png`` and ``OUT.md`` and prints the tables.
"""

import argparse
import sys
from pathlib import Path

from fmtt.run.cli import script
from fmtt.studies.sampling_frontier import study_sampling_frontier


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, default=Path("outputs/frontier_sampling"))
    options = parser.parse_args()
    print(study_sampling_frontier(options.folders, options.out))


if __name__ == "__main__":
    sys.exit(script(main))
