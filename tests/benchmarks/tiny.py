"""A model of tiny pictures that knows every text, and files of prompts as the benchmarks publish them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from fmtt.flow import noise
from fmtt.flow.interpolant import expand

SIDE = 6
VARIANCE = 0.04


class TextPictures:
    """``N(mean of the text, VARIANCE)`` on pictures ``(3, SIDE, SIDE)``; each text has a mean of its own."""

    shape = (3, SIDE, SIDE)
    made = 0

    def __init__(self) -> None:
        type(self).made += 1

    def velocity(self, x: Tensor, t: Tensor, condition: Tensor) -> Tensor:
        t = expand(t, x)
        slope = (t * VARIANCE - (1 - t)) / ((1 - t) ** 2 + t**2 * VARIANCE)
        return condition + (x - t * condition) * slope

    def encode_prompts(self, texts: Sequence[str]) -> Tensor:
        return torch.stack([0.4 * noise.normal(self.shape, text, "mean") for text in texts])


GENEVAL = [
    {"tag": "counting", "include": [{"class": "clock", "count": 2}], "exclude": [{"class": "clock", "count": 3}],
     "prompt": "a photo of two clocks"},
    {"tag": "colors", "include": [{"class": "bus", "count": 1, "color": "red"}], "prompt": "a photo of a red bus"},
    {"tag": "position", "include": [{"class": "dog", "count": 1}], "prompt": "a photo of a dog\u2028right of a tie"},
]  # fmt: skip
GENEVAL2 = [
    {"prompt": "four white bicycles", "atom_count": 3, "vqa_list": [["How many?", "four"]], "skills": ["count"]},
    {"prompt": 'a "plastic" cow/horse', "atom_count": 2, "vqa_list": [["A cow?", "Yes"]], "skills": ["object"]},
]
FACTS = {"Primary Categories": "Art", "Testpoints": ["Style"], "Testpoint Description": ["ink, wash"]}
UNIGENBENCH = [(0, 'two pandas, "in\nink"', FACTS), (7, "a gardener", FACTS | {"Primary Categories": "Design"})]
DPG = {"partiprompts12": "a red cube\n", "COCOval2014000000000042": "two dogs,  one of them\nasleep"}
COMPBENCH = ["a green bench and a blue/red bowl.\ta green bench", "", "the snake_case sign is on the left of a tree."]


def write_prompts(folder: Path) -> dict[str, Path]:
    """The prompts of each benchmark, where its path is."""
    made = {
        "geneval": folder / "evaluation_metadata.jsonl",
        "geneval2": folder / "geneval2_data.jsonl",
        "unigenbench": folder / "test_prompts_en.csv",
        "dpg": folder / "prompts",
        "compbench": folder / "color_val.txt",
    }
    made["dpg"].mkdir(parents=True)
    for name, rows in (("geneval", GENEVAL), ("geneval2", GENEVAL2)):
        made[name].write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    lines = [
        '{},"{}","{}"'.format(n, t.replace('"', '""'), json.dumps(f).replace('"', '""')) for n, t, f in UNIGENBENCH
    ]
    made["unigenbench"].write_text("\n".join(["index,prompt_en,sub_dims_en", *lines]) + "\n", encoding="utf-8-sig")
    for name, text in DPG.items():
        (made["dpg"] / f"{name}.txt").write_text(text)
    made["compbench"].write_text("\n".join(COMPBENCH) + "\n")
    return made


def write_configs(folder: Path) -> str:
    """A folder of configurations with ``model=tiny``; returns the setting that finds it."""
    (folder / "model").mkdir(parents=True)
    (folder / "model" / "tiny.yaml").write_text("_target_: tests.benchmarks.tiny.TextPictures\n")
    return f"hydra.searchpath=[file://{folder}]"
