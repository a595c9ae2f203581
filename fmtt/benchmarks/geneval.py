"""GenEval (arXiv 2310.11513): ``evaluation_metadata.jsonl``; the scorer is ``evaluation/evaluate_images.py FOLDER``.

It reads ``<digits>/metadata.jsonl``, a single object, and ``<digits>/samples/<digits>.png``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from fmtt.benchmarks.benchmark import Benchmark, BenchmarkPrompt, Notes, objects_of

SAMPLES = 4


def read(path: Path) -> list[BenchmarkPrompt]:
    rows = objects_of(path, ("tag", "prompt", "include"))
    return [BenchmarkPrompt(n, f"{n:05d}", row["prompt"], row["tag"], row) for n, row in enumerate(rows)]


def layout(prompt: BenchmarkPrompt) -> list[Path]:
    return [Path(prompt.name, "samples", f"{sample:05d}.png") for sample in range(SAMPLES)]


def notes(prompts: Iterable[BenchmarkPrompt], folder: Path) -> Notes:
    return {Path(prompt.name, "metadata.jsonl"): json.dumps(prompt.record) for prompt in prompts}


GENEVAL = Benchmark(SAMPLES, read, layout, notes=notes)
