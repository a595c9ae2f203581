"""Samples tilted to a digit against real ones: ``python scripts/tilt_to_digit.py FOLDER ... [--digit 0] [--out FILE]``.

Reads the runs of ``experiment=mnist_zeros``; :mod:`fmtt.studies.tilt_to_digit` says how. Writes FILE.md, a row for each
kind of samples, and FILE.png, the thermodynamic length of each run against its reward.
"""

import argparse
import sys
from pathlib import Path

from fmtt.run.cli import script
from fmtt.studies.tilt_to_digit import study_tilt_to_digit


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--digit", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("outputs/mnist_zeros"))
    options = parser.parse_args()
    print(study_tilt_to_digit(options.folders, options.digit, options.out))


if __name__ == "__main__":
    sys.exit(script(main))
