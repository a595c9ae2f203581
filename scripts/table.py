"""A Markdown table of sweeps: ``python scripts/table.py FOLDER ... --columns NAME ... [--picture OUT.png]``.

One row for each kind of run, averaged over seeds with its standard error (over groups if there is one seed), and a
column for every setting that differs. The picture, for points of the plane, has a panel for each row: the base samples
in grey if they were kept, the tilted ones of the first run in blue, fainter if they weigh less than the mean.
"""

import argparse
import sys
from pathlib import Path

from fmtt.run.cli import script
from fmtt.studies.kinds_table import draw_kinds, kinds_table
from fmtt.studies.runs import finished_kinds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--columns", nargs="+", required=True)
    parser.add_argument("--picture", type=Path)
    options = parser.parse_args()
    kinds = finished_kinds(options.folders)
    print(kinds_table(kinds, options.columns))
    if options.picture:
        draw_kinds(kinds).savefig(options.picture, dpi=100)


if __name__ == "__main__":
    sys.exit(script(main))
