"""Draw edits of scenes to ask for: ``python scripts/draw_scene_edits.py FOLDER --count 10 --seed 1``.

Writes the pictures to FOLDER, and FOLDER/tasks.txt, a line for each: the picture, its prompt, the question.
"""

import argparse
import sys
from pathlib import Path

from PIL import Image

from fmtt.data.edit_tasks import draw_edits
from fmtt.files import write_whole
from fmtt.run.cli import script


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=10)
    parser.add_argument("--seed", type=int, required=True)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for number, edit in enumerate(draw_edits(options.count, options.seed), 1):
        path = options.folder / f"{number:02}.png"
        pixels = (255 * (edit.picture + 1) / 2).round().byte().movedim(0, -1)
        Image.fromarray(pixels.numpy()).save(path)
        question = f'reward.terms.change.question="{edit.question}"'
        lines.append(f"sampler.start.path={path} 'prompt=\"{edit.prompt}\"' '{question}'\n")
    write_whole(options.folder / "tasks.txt", "".join(lines))
    print(options.folder / "tasks.txt")


if __name__ == "__main__":
    sys.exit(script(main))
