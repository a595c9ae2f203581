"""Estimate memory and work of text-to-image models: ``python scripts/memory.py [--models flux] [--pixels 512]``.

Nothing is loaded and no GPU is needed; the extra t2i is.
"""

import argparse
import sys

from fmtt.run.cli import script
from fmtt.run.memory_table import HEAD, memory_rows
from fmtt.run.published_sizes import MODELS
from fmtt.run.reward_sizes import REWARD_HEAD, reward_rows
from fmtt.studies.output import markdown_table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--pixels", nargs="+", type=int, default=[512, 1024])
    settings = parser.parse_args()
    print(markdown_table(HEAD, memory_rows(settings.models, settings.pixels)))
    print()
    print(markdown_table(REWARD_HEAD, reward_rows()))


if __name__ == "__main__":
    sys.exit(script(main))
