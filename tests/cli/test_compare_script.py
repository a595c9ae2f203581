"""``scripts/compare.py`` makes a page of any runs, and says in one line what it cannot find."""

import os
import sys

import pytest

from fmtt.run.cli import script
from scripts.compare import main
from tests.run_folder import make_run


def compare(monkeypatch: pytest.MonkeyPatch, *words: str | os.PathLike) -> int:
    monkeypatch.setattr(sys, "argv", ["compare.py", *map(str, words)])
    return script(main)


def test_the_page_lies_in_the_common_folder_and_is_printed_last(tmp_path, monkeypatch, capsys) -> None:
    for sweep in "ab":
        make_run(tmp_path / sweep / "0", overrides=(f"mode={sweep}",))
    (tmp_path / "b" / "1" / ".hydra").mkdir(parents=True)
    assert compare(monkeypatch, tmp_path / "a", tmp_path / "b", tmp_path / "b" / "0") == 0
    page = tmp_path / "compare.html"
    assert capsys.readouterr().out.splitlines()[-1] == str(page)
    text = page.read_text()
    assert "2 runs are done, 1 are not." in text and "unfinished" in text


def test_links_lead_from_the_page_to_the_runs(tmp_path, monkeypatch) -> None:
    folder = make_run(tmp_path / "sweep" / "seed=0,mode=a b")
    (folder / "report.html").touch()
    make_run(tmp_path / "sweep" / "without")
    assert compare(monkeypatch, tmp_path / "sweep", "--out", tmp_path / "new" / "page.html") == 0
    text = (tmp_path / "new" / "page.html").read_text()
    assert '<a href="../sweep/seed%3D0%2Cmode%3Da%20b/report.html">seed=0,mode=a b</a>' in text
    assert "without/report.html" not in text


def test_a_run_that_says_nothing_is_listed(tmp_path, monkeypatch) -> None:
    (tmp_path / "sweep" / "0" / ".hydra").mkdir(parents=True)
    assert compare(monkeypatch, tmp_path / "sweep" / "0") == 0
    assert "0 runs are done, 1 are not." in (tmp_path / "sweep" / "compare.html").read_text()


@pytest.mark.parametrize("words", [["missing"], ["run", "missing"], ["empty"], ["run", "--out", "run/metrics.json/x"]])
def test_what_is_wrong_is_one_line_and_status_2(tmp_path, monkeypatch, capsys, words: list[str]) -> None:
    make_run(tmp_path / "run")
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    assert compare(monkeypatch, *words) == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1 and captured.err.startswith(f"fmtt: {words[-1]}: ") and not captured.out


def test_without_a_path_the_usage_is_shown(monkeypatch, capsys) -> None:
    with pytest.raises(SystemExit) as left:
        compare(monkeypatch)
    assert left.value.code == 2 and "PATH" in capsys.readouterr().err
