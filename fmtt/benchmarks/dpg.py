"""DPG-Bench (arXiv 2403.05135): a folder of ``<id>.txt``; the scorer is ``dpg_bench/compute_dpg_bench.py --pic-num 4``.

It reads ``<id>.png``, a grid of two by two pictures, and cuts it by ``--resolution``, the side of one of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fmtt.benchmarks.benchmark import Array, Benchmark, BenchmarkPrompt


def read(path: Path) -> list[BenchmarkPrompt]:
    files = sorted(path.glob("*.txt"))
    if not files:
        raise ValueError(f"prompts={path}: must be the folder with the texts <id>.txt of DPG-Bench")
    for file in files:
        if "." in file.stem:
            raise ValueError(f"prompts={file}: the scorer cuts an id at its first point")
    texts = (" ".join(file.read_text(encoding="utf-8-sig").split()) for file in files)
    return [BenchmarkPrompt(n, file.stem, text) for n, (file, text) in enumerate(zip(files, texts, strict=True))]


def layout(prompt: BenchmarkPrompt) -> list[Path]:
    return [Path(f"{prompt.name}.png")]


def grid(pictures: Sequence[Array]) -> list[Array]:
    """Four pictures, row by row, in one."""
    first, second, third, fourth = pictures
    return [np.vstack([np.hstack([first, second]), np.hstack([third, fourth])])]


DPG = Benchmark(4, read, layout, arranged=grid)
