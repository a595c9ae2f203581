"""Scores of benchmarks beside published ones: ``python scripts/benchmark_table.py FOLDER=SCORE ...``.

FOLDER was made by ``scripts/benchmark_pictures.py``, and SCORE is what the official scorer gave. Prints a table for
each benchmark, in the order of the evaluations of the network (NFE), with what was run here in bold.
"""

import argparse
import sys

from fmtt.run.cli import script
from fmtt.studies.benchmark import benchmark_tables


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scored", nargs="+", metavar="FOLDER=SCORE")
    print(benchmark_tables(parser.parse_args().scored))


if __name__ == "__main__":
    sys.exit(script(main))
