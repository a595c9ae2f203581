"""Runs are found wherever they lie below the paths, each once, and what is wrong with one does not hide the others."""

from pathlib import Path

import pytest

from fmtt.report.comparison.runs import find_runs
from tests.run_folder import make_run


def names(*paths: Path) -> list[str]:
    return [run.summary.name for run in find_runs(paths)[1]]


def test_runs_and_sweeps_and_folders_above_them(tmp_path: Path) -> None:
    for place in ("a/9", "a/10", "b/deep/0", "alone"):
        make_run(tmp_path / place)
    (tmp_path / "a" / "9" / "inner" / ".hydra").mkdir(parents=True)
    (tmp_path / "b" / "loop").symlink_to(tmp_path)
    assert names(tmp_path) == ["a/9", "a/10", "alone", "b/deep/0"]
    assert names(tmp_path / "a") == ["9", "10"]
    assert names(tmp_path / "alone") == ["alone"]
    assert names(tmp_path / "a" / "10", tmp_path / "b") == ["a/10", "b/deep/0"]


def test_a_run_that_is_given_twice_counts_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_run(tmp_path / "a" / "0")
    monkeypatch.chdir(tmp_path)
    assert names(Path("a"), Path("a/0"), tmp_path / "a", Path("a/../a")) == ["0"]


def test_the_common_folder_is_above_all_paths(tmp_path: Path) -> None:
    make_run(tmp_path / "a" / "0")
    make_run(tmp_path / "b" / "0")
    found = [
        find_runs(paths)[0] for paths in ([tmp_path / "a"], [tmp_path / "a" / "0"], [tmp_path / "a", tmp_path / "b"])
    ]
    assert found == [tmp_path / "a", tmp_path / "a", tmp_path]


def test_whatever_is_wrong_with_a_run_is_said(tmp_path: Path) -> None:
    for number in range(7):
        make_run(tmp_path / str(number))
    (tmp_path / "1" / "metrics.json").write_text('{"reward/max": ["many"]}')
    (tmp_path / "2" / "history.csv").write_bytes(b"\xff\xfe")
    (tmp_path / "3" / ".hydra" / "hydra.yaml").write_text("{broken")
    (tmp_path / "4" / "metrics.json").unlink()
    (tmp_path / "5" / "error.txt").write_text("1 no memory\n")
    (tmp_path / "6" / ".hydra" / "overrides.yaml").write_text("{broken")
    runs = find_runs([tmp_path])[1]
    status = [run.summary.status.split(":")[0] for run in runs]
    assert status == ["done", "broken", "done", "done", "unfinished", "failed", "broken"]
    assert runs[5].summary.status == "failed: no memory"
    assert runs[0].history and not runs[2].history and not runs[4].history
    assert [len(run.damaged) for run in runs] == [0, 0, 1, 1, 0, 0, 0]
    assert runs[2].damaged[0].startswith("history.csv cannot be read: ")
    assert runs[3].damaged[0].startswith("the configuration cannot be read: ")
    assert runs[3].settings.value("mode") == "search" and runs[3].settings.value("model") == "", "what was typed"


@pytest.mark.parametrize("name", ["missing", "file", "empty"])
def test_a_path_without_runs_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    make_run(tmp_path / "run")
    with pytest.raises(ValueError, match=f"{name}: "):
        find_runs([tmp_path / "run", tmp_path / name])
