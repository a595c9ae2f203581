"""UniGenBench++ (arXiv 2510.18701): ``test_prompts_{en,en_long,zh,zh_long}.csv``; its scorers are in ``eval/``.

Their ``--data_path`` is the folder. They read ``<index>_<sample>.png``, four pictures of each prompt. Two of them judge
by different models, and their scores are not comparable.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from pathlib import Path

from fmtt.benchmarks.benchmark import Benchmark, BenchmarkPrompt, lines_of

SAMPLES = 4
THEMES = {"en": "Primary Categories", "zh": "一级垂类"}  # of each language the name of the category


def read(path: Path) -> list[BenchmarkPrompt]:
    head = next(csv.reader(lines_of(path)))
    language = next((name for name in THEMES if head == ["index", f"prompt_{name}", f"sub_dims_{name}"]), None)
    if language is None:
        raise ValueError(f"prompts={path}: the head must be index,prompt_en,sub_dims_en, or the same with zh")
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    return [prompt_of(number, row, language) for number, row in enumerate(rows)]


def prompt_of(number: int, row: Mapping[str, str], language: str) -> BenchmarkPrompt:
    facts = json.loads(row[f"sub_dims_{language}"])
    return BenchmarkPrompt(number, row["index"], row[f"prompt_{language}"], facts.get(THEMES[language], ""), facts)


def layout(prompt: BenchmarkPrompt) -> list[Path]:
    return [Path(f"{prompt.name}_{sample}.png") for sample in range(SAMPLES)]


UNIGENBENCH = Benchmark(SAMPLES, read, layout)
