"""A picture of what methods return: ``python scripts/gallery.py FOLDER ... --rows NAME --columns NAME [--out FILE]``.

A block of the returned samples of the first seed for each pair of values of two settings, such as ``--rows reward
--columns mode``; several are joined by a plus: ``--columns mode+lookahead``. Their mean reward stands below.
"""

import argparse
import sys
from pathlib import Path

from fmtt.run.cli import script
from fmtt.studies.gallery import write_gallery


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--rows", required=True)
    parser.add_argument("--columns", required=True)
    parser.add_argument("--shown", type=int, default=4, help="samples in a block")
    parser.add_argument("--out", type=Path, default=Path("outputs/gallery.png"))
    options = parser.parse_args()
    write_gallery(options.folders, options.rows, options.columns, options.shown, options.out)
    print(options.out)


if __name__ == "__main__":
    sys.exit(script(main))
