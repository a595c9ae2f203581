"""Which methods make pictures that show their prompt: ``python scripts/scenes_geneval.py FOLDER ... [--out OUT]``.

Reads the runs of ``experiment=scenes_geneval``; :mod:`fmtt.studies.scenes_geneval` says how. Writes OUT.md, a table for
each budget with a row for each method and a column for each category, and OUT.png, where reward and judge differ.
"""

import argparse
import sys
from pathlib import Path

from fmtt.run.cli import script
from fmtt.studies.scenes_geneval import study_geneval


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, default=Path("outputs/scenes_geneval"))
    options = parser.parse_args()
    print(study_geneval(options.folders, options.out))


if __name__ == "__main__":
    sys.exit(script(main))
