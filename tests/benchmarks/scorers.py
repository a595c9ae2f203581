"""How the official scorers find prompts and pictures, rebuilt from their code without their models."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import numpy as np
from PIL import Image

Seen = list[tuple[str, np.ndarray]]  # the prompt and the pixels of every picture that is scored


def pixels(path: str | Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


def geneval(folder: Path) -> tuple[Seen, list[dict]]:
    """``evaluation/evaluate_images.py`` of djghosh13/geneval."""
    seen, metadata = [], []
    for place in sorted(folder.iterdir()):
        if not place.is_dir() or not place.name.isdigit():
            continue
        with (place / "metadata.jsonl").open() as file:
            metadata.append(json.load(file))
        for path in sorted((place / "samples").iterdir()):
            if path.is_file() and re.match(r"\d+\.png", path.name):
                seen.append((metadata[-1]["prompt"], pixels(path)))
    return seen, metadata


def geneval2(folder: Path, data: Path) -> Seen:
    """``evaluation.py`` of facebookresearch/GenEval2: a path for each prompt of the data."""
    paths = json.loads((folder / "images.json").read_text())
    with data.open() as file:
        prompts = [json.loads(line)["prompt"] for line in file]
    return [(prompt, pixels(paths[prompt])) for prompt in prompts]


def unigenbench(folder: Path, data: Path) -> Seen:
    """``eval/qwenvl_72b_en_eval.py`` of CodeGoat24/UniGenBench."""
    seen = []
    with data.open(encoding="utf-8-sig", newline="") as file:
        for row in csv.DictReader(file):
            assert json.loads(row["sub_dims_en"])["Testpoints"]
            for sample in range(4):
                seen.append((row["prompt_en"], pixels(folder / f"{int(row['index'])}_{sample}.png")))
    return seen


def dpg(folder: Path, ids: list[str], side: int) -> Seen:
    """``dpg_bench/compute_dpg_bench.py`` of TencentQQGYLab/ELLA, with ``--pic-num 4 --resolution side``."""
    seen = []
    for path in sorted(folder.iterdir()):
        key = path.name.split(".")[0]
        assert key in ids
        with Image.open(path) as picture:
            assert picture.size == (2 * side, 2 * side)
            for left, top in ((0, 0), (side, 0), (0, side), (side, side)):
                seen.append((key, np.asarray(picture.convert("RGB").crop((left, top, left + side, top + side)))))
    return seen


def compbench(folder: Path) -> Seen:
    """``BLIPvqa_eval/BLIP_vqa.py`` and ``UniDet_eval/2D_spatial_eval.py`` of Karine-Huang/T2I-CompBench."""
    names = [path.name for path in (folder / "samples").iterdir()]
    names.sort(key=lambda name: int(name.split("_")[-1].split(".")[0]))
    numbers = [int(name.split("_")[-1].split(".")[0]) for name in names]
    assert len(set(numbers)) == len(numbers)
    return [(name.split("_")[0], pixels(folder / "samples" / name)) for name in names]
