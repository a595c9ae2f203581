"""Draw the trials of all methods from what they may vary: ``python scripts/draw_trials.py RANGES.yaml FOLDER``.

``docs/data/trials`` was made by ``python scripts/draw_trials.py docs/data/ranges.yaml docs/data/trials``.
"""

import argparse
import sys
from pathlib import Path

from fmtt.run.cli import script
from fmtt.studies.trials import write_trials


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ranges", type=Path)
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    print(*write_trials(options.ranges, options.folder), sep="\n")


if __name__ == "__main__":
    sys.exit(script(main))
