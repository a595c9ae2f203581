"""Nobody is logged in at W&B; and ``scripts/`` as commands."""

import runpy
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.no_account import no_account  # noqa: F401

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


@pytest.fixture
def run_script(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> Callable[..., str]:
    """Runs one of ``scripts/`` as a command; what it prints."""

    def run(name: str, *words: str | Path) -> str:
        monkeypatch.setattr(sys, "argv", [name, *map(str, words)])
        capsys.readouterr()
        runpy.run_path(str(SCRIPTS / name), run_name="__main__")
        return capsys.readouterr().out

    return run
