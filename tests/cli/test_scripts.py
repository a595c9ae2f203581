"""Every script starts, prints what its study finds, and says in one line what it cannot do."""

import runpy
from pathlib import Path

import pytest

from tests.run_folder import make_run

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
STUDIES = (
    "clock_law",
    "clocks",
    "frontier",
    "gallery",
    "sampling_frontier",
    "scenes_edit",
    "scenes_geneval",
    "scenes_law",
    "sensitivity",
    "table",
    "tilt_to_digit",
)
REQUIRED = {"gallery": ("--rows", "reward", "--columns", "mode"), "table": ("--columns", "reward/mean")}


@pytest.mark.parametrize("name", sorted(file.name for file in SCRIPTS.glob("*.py")))
def test_every_script_starts(name: str) -> None:
    assert callable(runpy.run_path(str(SCRIPTS / name))["main"])


@pytest.mark.parametrize("name", STUDIES)
def test_a_script_without_runs_says_so(run_script, capsys: pytest.CaptureFixture, tmp_path: Path, name: str) -> None:
    with pytest.raises(SystemExit) as exit:
        run_script(f"{name}.py", tmp_path, *REQUIRED.get(name, ()))
    assert exit.value.code == 2
    assert capsys.readouterr().err == f"fmtt: no finished runs below {tmp_path}\n"


def test_a_script_prints_the_table_and_writes_the_picture(run_script, tmp_path: Path) -> None:
    make_run(tmp_path / "runs" / "0")
    text = run_script("table.py", tmp_path / "runs", "--columns", "nfe/forward", "--picture", tmp_path / "runs.png")
    assert text.splitlines() == ["| mode | nfe/forward |", "|---|---|", "| search | 1,200 |"]
    assert (tmp_path / "runs.png").is_file()
