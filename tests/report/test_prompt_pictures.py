"""A page shows the pictures that were returned for each prompt, with the prompt below them."""

import base64
import re
from dataclasses import replace
from pathlib import Path

import numpy as np

from fmtt.report.run.finished_run import read_finished_run
from fmtt.report.run.page import write_pictures_and_page
from fmtt.report.run.prompts import EACH, PROMPTS, gallery, prompts
from tests.run_folder import make_run

TEXTS = ["a red circle", "a <b>star</b>"]


def told(folder: Path, texts: list[str], each: int, shape: tuple[int, ...] = (3, 8, 8)):
    """A finished run with prompts, its pictures drawn."""
    groups = len(texts) * each
    make_run(folder, shape, groups=groups, metrics={"log_z": [0.0] * groups, "reward/max": [0.0] * groups})
    write_pictures_and_page(folder)
    run = read_finished_run(folder)
    rows = [{"prompt": str(k), "text": text, "reward/weighted_mean": "-1.5"} for k, text in enumerate(texts)]
    return replace(run, prompts=rows, arrays=dict(run.arrays) | {"prompt": np.repeat(np.arange(len(texts)), each)})


def test_every_picture_stands_above_its_prompt(tmp_path: Path) -> None:
    run = told(tmp_path / "run", TEXTS, 2)
    figures = re.findall(r'<figure><div class="few">.*?</div><figcaption>.*?</figcaption></figure>', gallery(run))
    assert len(figures) == 2
    for number, figure in enumerate(figures):
        images = [base64.b64decode(data) for data in re.findall(r"base64,([^\"]+)", figure)]
        files = [tmp_path / "run" / "pictures" / f"{group}.png" for group in (2 * number, 2 * number + 1)]
        assert images == [file.read_bytes() for file in files]
    assert "<figcaption>a &lt;b&gt;star&lt;/b&gt;</figcaption>" in figures[1]
    assert prompts(run).startswith(gallery(run))


def test_many_prompts_are_cut(tmp_path: Path) -> None:
    run = told(tmp_path / "run", [f"text {k}" for k in range(PROMPTS + 3)], EACH + 1, (1, 4, 4))
    shown = gallery(run)
    assert shown.count('class="few"') == PROMPTS
    assert shown.count("<img") == PROMPTS * EACH
    assert "and 3 more prompts" in shown


def test_points_and_runs_without_prompts_have_no_pictures(tmp_path: Path) -> None:
    assert gallery(told(tmp_path / "points", TEXTS, 1, (2,))) == ""
    plain = read_finished_run(make_run(tmp_path / "plain", (3, 8, 8)))
    assert prompts(plain) == ""


def test_verdicts_stand_under_their_pictures(tmp_path: Path) -> None:
    run = told(tmp_path / "run", TEXTS, 2)
    right = ["1.0", "0.0", "0.25", "1.0"]
    rows = [{"group": str(k), "prompt": str(k // 2), "reward": "-3", "is_right": right[k]} for k in range(4)]
    shown = gallery(replace(run, returned=rows))
    assert re.findall("<figcaption>(is right .*?)</figcaption>", shown) == [
        "is right \N{CHECK MARK}", "is right \N{BALLOT X}", "is right 0.25", "is right \N{CHECK MARK}"
    ]  # fmt: skip


def test_the_table_of_prompts_has_categories_and_verdicts(tmp_path: Path) -> None:
    run = told(tmp_path / "run", TEXTS, 2)
    assert "Category" not in prompts(run)
    rows = [
        row | {"category": "colours", "is_right/selected": str(k / 4), "is_right/selected/stderr": "0.1"}
        for k, row in enumerate(run.prompts)
    ]
    shown = prompts(replace(run, prompts=rows))
    assert "Category" in shown and "is right, returned" in shown
    assert "0.25 ± 0.10" in shown
