"""Scores beside the published ones, in the order of their cost."""

from pathlib import Path

import numpy as np
import pytest

from fmtt.benchmarks import BENCHMARKS
from fmtt.benchmarks.benchmark import BenchmarkPrompt
from fmtt.benchmarks.folder import BenchmarkFolder
from fmtt.studies.benchmark import benchmark_tables


def made(path: Path, name: str, forward: list[int], prompts: int, typed: str) -> str:
    """A folder with a record for each entry of ``forward``."""
    folder = BenchmarkFolder(path, BENCHMARKS[name])
    folder.claim({"benchmark": name, "prompts": prompts, "typed": typed.split()})
    pictures = [np.zeros((2, 2, 3), np.uint8)] * BENCHMARKS[name].samples
    for number, count in enumerate(forward):
        folder.keep(BenchmarkPrompt(number, str(number), "a cat"), pictures, {"nfe/forward": count})
    return str(path)


def test_rows_are_in_the_order_of_their_cost(tmp_path: Path) -> None:
    folder = made(tmp_path / "a=b", "geneval", [360, 440], 2, "model=flux mode=search")
    lines = benchmark_tables([f"{folder}=0.795"]).splitlines()
    assert lines[:4] == ["**geneval**", "", "| method | NFE for a picture | score |", "|---|---|---|"]
    place = lines.index("| **model=flux mode=search** | 100 | 0.795 |")
    assert lines[place - 1] == "| FMRG-J | 100 | 0.8 |" and lines[place + 1] == "| flow map, best of N | 128 | 0.758 |"
    assert lines[-1] == "| FMTT, 4-step flow map (FMTT paper) |  | 0.79 |"


def test_prompts_that_are_missing_are_counted(tmp_path: Path) -> None:
    words = [
        made(tmp_path / "u", "unigenbench", [4000], 3, "mode=search") + "=70.5",
        made(tmp_path / "d", "dpg", [12, 20], 2, "mode=base") + "=83",
        made(tmp_path / "n", "unigenbench", [], 3, "mode=beam") + "=0",
    ]
    first, second = benchmark_tables(words).split("\n\n**dpg**\n\n")
    assert "| method | NFE for a prompt | score |" in first
    assert "| **mode=search (prompts missing: 2)** | 4000 | 70.5 |" in first
    assert "| FLUX.1-schnell, best of 256 | 1024 | 77.41 |" in first
    assert first.endswith("| **mode=beam (prompts missing: 3)** |  | 0 |")
    assert second.splitlines()[2:] == ["| **mode=base** | 4 | 83 |"]


@pytest.mark.parametrize("word", ["folder", "=0.5", "folder=", "folder=high", "folder=nan"])
def test_a_word_without_folder_or_score_is_refused(word: str) -> None:
    with pytest.raises(ValueError, match=f"{word}: must be FOLDER=SCORE"):
        benchmark_tables([word])


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"{tmp_path}: has no pictures of a benchmark"):
        benchmark_tables([f"{tmp_path}=0.5"])
