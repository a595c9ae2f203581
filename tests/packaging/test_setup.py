"""``make setup`` takes the first Python that is new enough, and says what is lacking where there is none."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILES = ("Makefile", "pyproject.toml", "requirements.txt", "requirements-dev.txt")
MAKE = shutil.which("make")
pytestmark = pytest.mark.skipif(MAKE is None, reason="needs make")


def make_setup(tmp_path: Path, pythons: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    """``make setup`` where ``pythons``, name to shell command, are all the programs there are."""
    for name in FILES:
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "bin").mkdir()
    for name, command in pythons.items():
        (tmp_path / "bin" / name).write_text(f"#!/bin/sh\n{command}\n")
        (tmp_path / "bin" / name).chmod(0o755)
    return subprocess.run(
        [str(MAKE), "setup", *words], cwd=tmp_path, env={"PATH": str(tmp_path / "bin")}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip


def test_the_first_python_that_is_new_enough_is_taken(tmp_path: Path) -> None:
    pythons = {"python3.11": "exit 127", "python3.12": f'exec {sys.executable} "$@"', "python3": "exit 1"}
    assert '"python3.12" -m venv .venv' in make_setup(tmp_path, pythons, "--dry-run").stdout


def test_the_user_may_name_one(tmp_path: Path) -> None:
    done = make_setup(tmp_path, {}, "--dry-run", f"PYTHON={sys.executable}")
    assert f'"{sys.executable}" -m venv .venv' in done.stdout


@pytest.mark.parametrize("words", [[], ["PYTHON=python3"]])
def test_where_there_is_none_one_line_says_so(tmp_path: Path, words: list[str]) -> None:
    done = make_setup(tmp_path, {"python3": "exit 1"}, *words)
    assert done.returncode == 2
    complaint = done.stderr.splitlines()[0]
    assert complaint.startswith("fmtt needs Python 3.11 or newer") and "PYTHON=/path/to/python3" in complaint
    assert "python3)" in complaint or "python)" in complaint


def pins(name: str) -> dict[str, str]:
    lines = (ROOT / name).read_text().splitlines()
    return dict(line.split("==") for line in lines if line and not line.startswith(("#", "-")))


def test_pins_are_plain_and_say_one_version() -> None:
    """One set for every Python, and what lies beside .venv does not change what lies in it."""
    runtime = pins("requirements.txt") | pins("requirements-dev.txt")
    for beside in ("requirements-docs.txt", "requirements-optuna.txt", "requirements-t2i.txt"):
        assert pins(beside).keys() & runtime.keys() == set()
    assert not any(mark in version for version in runtime.values() for mark in (";", "<", ">", " "))
