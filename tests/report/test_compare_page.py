"""The page that compares runs stays small, and holds what it needs."""

import re
import time
from pathlib import Path

import plotly.offline
import pytest

from fmtt import run_folder
from fmtt.report.comparison.page import PICTURES, write_page
from fmtt.report.comparison.page_data import rounded
from fmtt.report.comparison.runs import find_runs
from tests.run_folder import make_run


def page_of(folder: Path) -> str:
    common, runs = find_runs([folder])
    return write_page(folder / "compare.html", common, runs).read_text(encoding="utf-8")


def test_a_run_more_is_a_few_thousand_characters_more(tmp_path: Path) -> None:
    for number in range(30):
        make_run(
            tmp_path / str(number), overrides=(f"mode={number % 3}", f"seed={number}"), steps=1000, shift=number / 7
        )
    own = len(page_of(tmp_path)) - len(plotly.offline.get_plotlyjs())
    assert own < 30_000 + 30 * 5_000


def test_pictures_of_every_kind_come_first_and_those_without_room_are_links(tmp_path: Path) -> None:
    for number in range(40):
        run = make_run(tmp_path / str(number), overrides=(f"mode={number // 2}", f"seed={number % 2}"))
        (run / "samples.png").write_bytes(b"a picture")
    text = page_of(tmp_path)
    inside = re.findall(r'<img src="data:image/png;base64,[^"]+" alt="Samples of mode=(\d+), seed=(\d)"', text)
    links = re.findall(r'<a data-run="(\d+)" href="(\d+)/samples.png">', text)
    assert inside[:20] == [(str(mode), "0") for mode in range(20)] and inside[20:] == [(str(k), "1") for k in range(4)]
    assert len(inside) == PICTURES and [int(number) for number, _ in links] == list(range(9, 40, 2))
    assert all(number == folder for number, folder in links)


def test_the_page_is_the_same_wherever_it_lies_but_for_its_links(tmp_path: Path) -> None:
    run = make_run(tmp_path / "sweep" / "0")
    (run / "report.html").touch()
    common, runs = find_runs([tmp_path / "sweep"])
    here, there = (write_page(folder / "page.html", common, runs) for folder in (tmp_path, common))
    assert here.read_text() == there.read_text().replace('"0/report.html"', '"sweep/0/report.html"')


@pytest.mark.parametrize(("value", "expected"), [(1200.0, 1200), (0.123456789, 0.12346), (-3.0, -3), (1e-20, 1e-20)])
def test_numbers_are_short(value: float, expected: float) -> None:
    assert repr(rounded(value, 5)) == repr(expected)


def test_hundreds_of_runs_are_compared_within_seconds(tmp_path: Path) -> None:
    for number in range(400):
        make_run(tmp_path / str(number), overrides=(f"mode={number % 20}", f"seed={number}"), steps=32)
    begun = time.perf_counter()
    page_of(tmp_path)
    assert time.perf_counter() - begun < 20


def test_a_history_of_zeros_is_damage_and_not_the_end(tmp_path: Path) -> None:
    """What a loss of power leaves."""
    make_run(tmp_path / "good")
    (make_run(tmp_path / "zeros") / "history.csv").write_bytes(b"step,t\n" + b"\0" * 200_000)
    assert "history.csv cannot be read" in page_of(tmp_path)


@pytest.mark.parametrize("table", ["prompts.csv", "returned.csv"])
def test_a_table_of_prompts_that_was_cut_off_is_named_and_the_rest_is_shown(tmp_path: Path, table: str) -> None:
    run = make_run(tmp_path / "0")
    run_folder.write_prompts(run, ["a cat", "a dog"], ["", ""], [{"reward/mean": 1.0}] * 2)
    run_folder.write_returned(run, [{"group": k, "prompt": k, "reward": -1.0} for k in range(2)])
    assert "cannot be read" not in page_of(tmp_path)
    lines = (run / table).read_text().splitlines()
    (run / table).write_text("\n".join([*lines[:2], ","]))
    assert "prompts.csv or returned.csv cannot be read: a row was cut off" in page_of(tmp_path)
