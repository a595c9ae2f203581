"""Draw what methods return for the first prompt of each category: ``scenes_gallery.py FOLDER --methods NAME ...``.

FOLDER has the runs of ``experiment=scenes_geneval`` with their samples. Pictures that are right have a frame.
"""

import argparse
import sys
from pathlib import Path

from fmtt.run.cli import script
from fmtt.studies.scenes_gallery import draw_prompts, first_of_categories, runs_of


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--methods", nargs="+", required=True, help="short names, as in the legend of the study")
    parser.add_argument("--budget", default="64")
    parser.add_argument("--out", type=Path, default=Path("outputs/scenes_gallery.png"))
    options = parser.parse_args()
    runs = runs_of(options.folder, options.budget, options.methods)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    draw_prompts(runs, first_of_categories(next(iter(runs.values())))).savefig(options.out, dpi=80)
    print(options.out)


if __name__ == "__main__":
    sys.exit(script(main))
