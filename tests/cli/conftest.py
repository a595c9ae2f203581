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
    """Runs one of ``scripts/`` as a command and returns what it prints.

    Raises:
        SystemExit: if the exit status is not 0.
    """

    def run(name: str, *words: str | Path) -> str:
        monkeypatch.setattr(sys, "argv", [name, *map(str, words)])
        capsys.readouterr()
        try:
            runpy.run_path(str(SCRIPTS / name), run_name="__main__")
        except SystemExit as exit:
            if exit.code:
                raise
        return capsys.readouterr().out

    return run
