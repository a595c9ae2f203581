"""Carry finished runs to another machine: ``archive.py pack FOLDER FILE.tar.xz``, ``archive.py restore FILE FOLDER``.

The file has what tables need, without samples. Sweeps with ``resume=true`` skip runs that were restored.
"""

import argparse
import sys
from pathlib import Path

from fmtt.run.cli import script
from fmtt.studies.archive import pack, restore

ACTIONS = {"pack": pack, "restore": restore}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=ACTIONS)
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    options = parser.parse_args()
    print(f"runs: {ACTIONS[options.action](options.source, options.target)}")


if __name__ == "__main__":
    sys.exit(script(main))
