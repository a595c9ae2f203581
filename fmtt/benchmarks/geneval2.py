"""GenEval 2 (arXiv 2512.16853): ``geneval2_data.jsonl``; the scorer is ``evaluation.py``.

Its ``--image_filepath_data`` is ``images.json``, an object from texts of prompts to paths of pictures, one for each.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from fmtt.benchmarks.benchmark import Benchmark, BenchmarkPrompt, Notes, objects_of


def read(path: Path) -> list[BenchmarkPrompt]:
    rows = objects_of(path, ("prompt", "atom_count", "vqa_list", "skills"))
    return [
        BenchmarkPrompt(n, f"{n:04d}", row["prompt"], f"{row['atom_count']} atoms", row) for n, row in enumerate(rows)
    ]


def layout(prompt: BenchmarkPrompt) -> list[Path]:
    return [Path(f"{prompt.name}.png")]


def notes(prompts: Iterable[BenchmarkPrompt], folder: Path) -> Notes:
    paths = {prompt.text: str((folder / layout(prompt)[0]).resolve()) for prompt in prompts}
    return {Path("images.json"): json.dumps(paths, indent=2, ensure_ascii=False)}


GENEVAL2 = Benchmark(1, read, layout, notes=notes)
