"""Every benchmark: its prompts as they are published, and files in which its scorer finds every picture."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fmtt.benchmarks import BENCHMARKS
from fmtt.benchmarks.folder import BenchmarkFolder
from tests.benchmarks import scorers
from tests.benchmarks.tiny import COMPBENCH, DPG, GENEVAL, GENEVAL2, SIDE, UNIGENBENCH, write_prompts

DPG_ORDER = sorted(DPG)


@pytest.fixture
def paths(tmp_path: Path) -> dict[str, Path]:
    return write_prompts(tmp_path / "published")


@pytest.fixture
def filled(paths: dict[str, Path], tmp_path: Path) -> Callable[[str], tuple[Path, list[np.ndarray]]]:
    """The folder of a benchmark for its scorer, and the pictures in it, prompt by prompt, all of them different."""

    def fill(name: str) -> tuple[Path, list[np.ndarray]]:
        random, made = np.random.default_rng(0), []
        benchmark = BENCHMARKS[name]
        folder, prompts = BenchmarkFolder(tmp_path / name, benchmark), benchmark.read(paths[name])
        for prompt in prompts:
            pictures = list(random.integers(0, 256, (benchmark.samples, SIDE, SIDE, 3), dtype=np.uint8))
            folder.keep(prompt, pictures, {})
            made += pictures
        folder.note(prompts)
        return folder.pictures, made

    return fill


def equal(seen: scorers.Seen, prompts: list[str], pictures: list[np.ndarray]) -> bool:
    """Whether the scorer saw all pictures, each with its prompt."""
    each = len(pictures) // len(prompts)
    expected = [prompt for prompt in prompts for _ in range(each)]
    same = all(np.array_equal(found, own) for (_, found), own in zip(seen, pictures, strict=True))
    return [prompt for prompt, _ in seen] == expected and same


def test_geneval(filled: Callable, paths: dict[str, Path]) -> None:
    folder, pictures = filled("geneval")
    seen, metadata = scorers.geneval(folder)
    assert len(pictures) == 12
    assert equal(seen, [row["prompt"] for row in GENEVAL], pictures)
    assert metadata == GENEVAL
    prompts = BENCHMARKS["geneval"].read(paths["geneval"])
    assert [prompt.category for prompt in prompts] == ["counting", "colors", "position"]


def test_geneval2(filled: Callable, paths: dict[str, Path]) -> None:
    folder, pictures = filled("geneval2")
    assert equal(scorers.geneval2(folder, paths["geneval2"]), [row["prompt"] for row in GENEVAL2], pictures)
    assert [prompt.category for prompt in BENCHMARKS["geneval2"].read(paths["geneval2"])] == ["3 atoms", "2 atoms"]


def test_unigenbench(filled: Callable, paths: dict[str, Path]) -> None:
    folder, pictures = filled("unigenbench")
    assert len(pictures) == 8
    assert equal(scorers.unigenbench(folder, paths["unigenbench"]), [text for _, text, _ in UNIGENBENCH], pictures)
    assert {path.name for path in folder.iterdir()} == {f"{index}_{k}.png" for index in (0, 7) for k in range(4)}
    prompts = BENCHMARKS["unigenbench"].read(paths["unigenbench"])
    assert [prompt.category for prompt in prompts] == ["Art", "Design"]


def test_unigenbench_in_chinese(tmp_path: Path) -> None:
    file = tmp_path / "test_prompts_zh.csv"
    file.write_text('index,prompt_zh,sub_dims_zh\n3,一位艺术家,"{""一级垂类"": ""艺术"", ""考点"": [""文本生成""]}"\n')
    (prompt,) = BENCHMARKS["unigenbench"].read(file)
    assert (prompt.name, prompt.text, prompt.category) == ("3", "一位艺术家", "艺术")


def test_dpg_is_a_grid_of_four(filled: Callable, paths: dict[str, Path]) -> None:
    folder, pictures = filled("dpg")
    assert len(pictures) == 8
    assert equal(scorers.dpg(folder, list(DPG), SIDE), DPG_ORDER, pictures)
    texts = [prompt.text for prompt in BENCHMARKS["dpg"].read(paths["dpg"])]
    assert texts == ["two dogs, one of them asleep", "a red cube"]


def test_compbench_has_readable_names(filled: Callable, paths: dict[str, Path]) -> None:
    folder, pictures = filled("compbench")
    assert len(pictures) == 20
    names = ["a green bench and a blue red bowl.", "the snake case sign is on the left of a tree."]
    assert equal(scorers.compbench(folder), names, pictures)
    texts = [prompt.text for prompt in BENCHMARKS["compbench"].read(paths["compbench"])]
    assert texts == [COMPBENCH[0].split("\t")[0], COMPBENCH[2]]


def test_only_whole_files_lie_where_a_scorer_reads(filled: Callable, tmp_path: Path) -> None:
    folder, _ = filled("compbench")
    assert sorted(path.name for path in folder.parent.iterdir()) == ["partial", "pictures", "records"]
    assert list((tmp_path / "compbench" / "partial").iterdir()) == []


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("geneval", "\n", "there is no prompt in it"),
        ("geneval", '{"tag": "colors"}', "object 1 is not JSON with tag, prompt, include"),
        ("geneval", '{"tag": "a", "prompt": "b", "include": []}\nx', "object 2 is not JSON with tag, prompt, include"),
        ("geneval2", '["a cat"]', "object 1 is not JSON with prompt, atom_count, vqa_list, skills"),
        ("unigenbench", "index,prompt\n0,a", "the head must be index,prompt_en,sub_dims_en, or the same with zh"),
        ("compbench", "a " * 140, "'a a a a a a a a a a a a a a a a a a a a '... is too long for a name of a file"),
        ("dpg", "", "must be the folder with the texts <id>.txt"),
    ],
)
def test_another_file_is_refused(name: str, content: str, complaint: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text(content)
    with pytest.raises(ValueError, match=f"^prompts={tmp_path / 'file'}: .*{re.escape(complaint)}"):
        BENCHMARKS[name].read(tmp_path / "file")


@pytest.mark.parametrize("name", BENCHMARKS)
def test_a_missing_file_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"prompts={tmp_path / 'none'}: "):
        BENCHMARKS[name].read(tmp_path / "none")


def test_an_id_that_the_scorer_of_dpg_would_cut_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.b.txt").write_text("a cat")
    with pytest.raises(ValueError, match="the scorer cuts an id at its first point"):
        BENCHMARKS["dpg"].read(tmp_path)
