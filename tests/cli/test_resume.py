"""Runs that were cut off, and what the same command with ``resume=true`` makes of them."""

import csv
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from fmtt.methods.noise_opt import NoiseAscent
from fmtt.methods.noise_smc import NoiseAnnealing
from fmtt.methods.rounds import Rounds
from fmtt.methods.trajectory import Trajectory
from fmtt.methods.typical_ascent import TypicalAscent
from fmtt.tracking.wandb_logger import run_id

ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def interrupted(monkeypatch: pytest.MonkeyPatch, loop: type, step: int) -> Iterator[None]:
    """Ctrl-C in that step of a loop, counted from 1."""
    unbroken, states = loop.step, []

    def breaking(self: object, state: object) -> object:
        states.append(state)
        if len(states) == step:
            raise KeyboardInterrupt
        return unbroken(self, state)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "step", breaking)
        yield


def statuses(sweep: Path) -> list[str]:
    """What the table of a sweep says of its runs."""
    with (sweep / "summary.csv").open(newline="") as file:
        return [row["status"] for row in csv.DictReader(file)]


@pytest.mark.parametrize(
    ("words", "loop"),
    [
        (("mode.ess_threshold=0.9",), Trajectory),
        (("sampler/transport=midpoint", "mode.weights=kernel", "mode.ess_threshold=0.9"), Trajectory),
        (("mode=das",), Trajectory), (("mode=fk_steering",), Trajectory),
        (("mode=noise_smc",), NoiseAnnealing), (("mode=noise_opt",), NoiseAscent), (("mode=multi_best_of_n",), Rounds),
        (("mode=auto",), TypicalAscent),
    ],
)  # fmt: skip
def test_resuming_in_the_middle_gives_the_same_result(fmtt, monkeypatch: pytest.MonkeyPatch, words, loop) -> None:
    whole = fmtt(*words, "reward.scale=3", folder="whole")
    with interrupted(monkeypatch, loop, step=3):
        broken = fmtt(*words, "reward.scale=3", folder="broken")
    assert broken.status == 1
    assert "resume=true" in broken.complaint
    resumed = fmtt(*words, "reward.scale=3", "resume=true", folder="broken")
    assert resumed.status == 0
    expected, found = (load_file(outcome.folder / "samples.safetensors") for outcome in (whole, resumed))
    for name in expected:
        assert torch.equal(expected[name], found[name]), name
    assert (whole.folder / "history.csv").read_text() == (resumed.folder / "history.csv").read_text()
    assert whole.metrics["log_z"] == resumed.metrics["log_z"]
    assert not list(resumed.folder.glob("checkpoint-*"))


def test_a_sweep_that_is_resumed_skips_what_is_done(fmtt) -> None:
    words = ("-m", "seed=0,1", "baseline=false", "report=false", "resume=true")
    first = fmtt(*words)
    assert not (first.folder / "0" / "report.html").exists()
    made = (first.folder / "1" / "metrics.json").stat().st_mtime_ns
    (first.folder / "0" / "metrics.json").unlink()
    again = fmtt(*words)
    assert again.out.count("already done") == 1
    assert (again.folder / "0" / "metrics.json").is_file()
    assert (again.folder / "1" / "metrics.json").stat().st_mtime_ns == made
    assert "already done" not in fmtt(*words, "reward.scale=2").out


def test_another_configuration_in_the_same_folder_leaves_no_old_result(fmtt, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that is cut off before its end must not be taken for done because of what lay there."""
    fmtt("baseline=false", "report=false")
    words = ("baseline=false", "report=false", "reward.scale=2", "resume=true")
    with interrupted(monkeypatch, Trajectory, step=1):
        fmtt(*words)
    again = fmtt(*words)
    assert again.status == 0 and "already done" not in again.out
    assert again.metrics["log_z"] == fmtt(*words[:3], folder="new").metrics["log_z"]
    assert "already done" in fmtt(*words).out


def test_a_run_that_failed_after_its_result_was_written_is_done_again(fmtt, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(folder: Path) -> None:
        raise RuntimeError("no ink")

    words = ("-m", "seed=0", "baseline=false", "resume=true")
    with monkeypatch.context() as patch:
        patch.setattr("fmtt.run.execute.write_artefacts", broken)
        first = fmtt(*words)
    assert first.status == 1 and statuses(first.folder) == ["failed: RuntimeError: no ink"]
    assert fmtt(*words).status == 0
    assert (first.folder / "0" / "report.html").is_file()
    assert statuses(first.folder) == ["done"]


def test_a_run_in_a_new_folder_goes_on_from_the_old_one(fmtt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As single runs do, whose folders are named by the time: with its W&B run, and without a checkpoint left over."""
    monkeypatch.setenv("WANDB_MODE", "offline")
    words = ("logger=wandb", "baseline=false", "report=false")
    with interrupted(monkeypatch, Trajectory, step=3):
        fmtt(*words, folder="runs/old")
    assert len(list(tmp_path.rglob("checkpoint-*"))) == 1
    assert fmtt(*words, "resume=true", folder="runs/new").status == 0
    assert not list(tmp_path.rglob("checkpoint-*"))
    assert run_id(tmp_path / "runs" / "old") == run_id(tmp_path / "runs" / "new") is not None


@pytest.mark.slow
def test_sigterm_leaves_a_checkpoint(tmp_path: Path) -> None:
    words = [
        "model=gmm",
        "reward=linear",
        "logger=none",
        "sampler.steps=100000",
        "lookahead=none",
        f"hydra.run.dir={tmp_path}",
    ]
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "run.py"), *words],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    deadline = time.time() + 120
    while not (tmp_path / "environment.json").exists() and time.time() < deadline:
        time.sleep(0.2)
    time.sleep(3)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1, err
    assert len(list(tmp_path.glob("checkpoint-*.pt"))) == 1
    assert "resume=true" in err
