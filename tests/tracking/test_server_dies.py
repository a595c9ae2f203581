"""A server of W&B that dies in the middle of a run costs the log, and a few seconds."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.command import SMALL
from tests.tracking.wandb_server import wandb_server

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 3  # seconds; the program waits longer
COMMAND = f"import fmtt.tracking.guarded as g; g.PATIENCE = {PATIENCE}; from fmtt.run.cli import command; command()"


@pytest.mark.slow
def test_the_run_ends_all_the_same(tmp_path: Path) -> None:
    words = [
        *SMALL,
        "lookahead=denoiser",
        "sampler.steps=400",
        "logger=wandb",
        f"hydra.run.dir={tmp_path / 'run'}",
        "report=false",
    ]
    with wandb_server() as (url, received):
        account = {"WANDB_BASE_URL": url, "WANDB_API_KEY": "k" * 40, "WANDB_MODE": "online", "HOME": str(tmp_path)}
        environment = {**os.environ, **account, "WANDB_ERROR_REPORTING": "false", "PYTHONPATH": str(ROOT)}
        process = subprocess.Popen(
            [sys.executable, "-c", COMMAND, *words], env=environment, cwd=tmp_path, stderr=subprocess.PIPE, text=True
        )
        until = time.monotonic() + 60
        while not received.run and time.monotonic() < until:
            time.sleep(0.05)
        assert received.run, "the run has begun at the server"
    died = time.monotonic()
    _, err = process.communicate(timeout=120)
    took = time.monotonic() - died
    assert process.returncode == 0, err
    assert (tmp_path / "run" / "manifest.json").is_file()
    assert f"the logger Wandb has not answered for {PATIENCE} seconds; the run goes on without it" in err
    assert took < 90, took
