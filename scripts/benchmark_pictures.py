"""Make the pictures of a benchmark: ``scripts/benchmark_pictures.py benchmark=NAME prompts=PATH folder=OUT -- ...``.

    python scripts/benchmark_pictures.py benchmark=geneval prompts=evaluation_metadata.jsonl folder=outputs/geneval \\
        part=3 parts=10 -- model=flux reward=preference mode=search budget.nfe=400

The benchmarks are geneval, geneval2, unigenbench, dpg and compbench; ``prompts`` is what each of them publishes. After
``--`` stand settings of ``run.py``, where ``hydra.searchpath=[file://FOLDER]`` finds choices of your own. The official
scorer reads OUT/pictures. Pictures that are there are not made again, so the same command goes on after an
interruption. Processes with different parts may share a folder.
"""

import argparse
import sys

from fmtt.rewards.server import JudgeError
from fmtt.run.benchmark import make_pictures, task_of
from fmtt.run.cli import script

END = "--"  # of the settings of this script


def main() -> None:
    words = sys.argv[1:]
    end = words.index(END) if END in words else len(words)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("settings", nargs="*", metavar="KEY=VALUE")
    task = task_of(parser.parse_args(words[:end]).settings)
    try:
        print(make_pictures(task, words[end + 1 :]))
    except (FloatingPointError, JudgeError) as error:
        raise SystemExit(f"fmtt: {error}; the same command goes on") from error


if __name__ == "__main__":
    sys.exit(script(main))
