"""Check the exact judge of scenes: ``python scripts/scenes_by_eye.py [--verdicts FILE] [--checkpoint scenes]``.

Draws 200 pictures of the model with their prompts. With the verdicts of a person (docs/data/scenes_by_eye.txt), it
prints the pictures that the judge sees otherwise.
"""

import argparse
import sys
from pathlib import Path

from fmtt.run.cli import script
from fmtt.studies.output import markdown_table
from fmtt.training.scenes_by_eye import disagreements, draw_sheets, pictures_to_judge, verdicts_in


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--verdicts", type=Path)
    parser.add_argument("--checkpoint", default="scenes")
    parser.add_argument("--out", type=Path, default=Path("outputs/scenes_by_eye"))
    options = parser.parse_args()
    by_eye = None if options.verdicts is None else verdicts_in(options.verdicts)
    prompts, pictures = pictures_to_judge(options.checkpoint)
    print(*draw_sheets(prompts, pictures, options.out), sep="\n")
    if by_eye is not None:
        rows = disagreements(prompts, pictures, by_eye)
        print("", markdown_table(["picture", "prompt", "judge", "by eye"], rows), sep="\n")


if __name__ == "__main__":
    sys.exit(script(main))
