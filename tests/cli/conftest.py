"""Nobody is logged in at W&B; a run folder for loggers to write to; and ``scripts/`` as commands."""

import runpy
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from omegaconf import OmegaConf
from PIL import Image

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


@pytest.fixture(autouse=True)
def no_account(monkeypatch, tmp_path):
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_PROJECT", "WANDB_BASE_URL", "WANDB_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "no-netrc"))


@pytest.fixture
def folder(tmp_path) -> Path:
    """A run folder inside a sweep, with Hydra's records and a picture."""
    run = tmp_path / "2026-01-02" / "10-20-30" / "0"
    (run / ".hydra").mkdir(parents=True)
    (run.parent / "multirun.yaml").touch()
    OmegaConf.save(["mode=search", "seed=3"], run / ".hydra" / "overrides.yaml")
    picked = {"mode": "search", "reward": "symmetry", "hydra/launcher": "basic", "experiment": None}
    OmegaConf.save({"hydra": {"runtime": {"choices": picked}}}, run / ".hydra" / "hydra.yaml")
    Image.new("RGB", (12, 8), (250, 10, 20)).save(run / "samples.png")
    return run
