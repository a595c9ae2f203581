"""Nobody is logged in at W&B; and a run folder for loggers to write to."""

from pathlib import Path

import pytest
from omegaconf import OmegaConf
from PIL import Image

from tests.no_account import no_account  # noqa: F401


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
