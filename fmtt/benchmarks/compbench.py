"""T2I-CompBench (arXiv 2307.06350): a file such as ``color_val.txt``; its scorers are given the folder.

They read ``samples/<prompt>_<number>.png``. What stands before the first ``_`` is the prompt, and the number tells all
pictures of the folder apart. So ``_`` and ``/`` of a prompt become spaces in the name; the model is told the prompt
itself.
"""

from __future__ import annotations

from pathlib import Path

from fmtt.benchmarks.benchmark import Benchmark, BenchmarkPrompt, lines_of

SAMPLES = 10
LONGEST_NAME = 255  # bytes, of common file systems
UNREADABLE = str.maketrans("_/", "  ")


def read(path: Path) -> list[BenchmarkPrompt]:
    texts = [line.split("\t")[0].strip() for line in lines_of(path)]
    prompts = [BenchmarkPrompt(number, str(number), text, path.stem) for number, text in enumerate(texts)]
    for prompt in prompts:
        if len(layout(prompt)[0].name.encode()) > LONGEST_NAME:
            raise ValueError(f"prompts={path}: the prompt {prompt.text[:40]!r}... is too long for a name of a file")
    return prompts


def layout(prompt: BenchmarkPrompt) -> list[Path]:
    name = prompt.text.translate(UNREADABLE)
    return [Path("samples", f"{name}_{prompt.number * SAMPLES + sample:06d}.png") for sample in range(SAMPLES)]


COMPBENCH = Benchmark(SAMPLES, read, layout)
