"""What a W&B run holds, read back with W&B's own reader, without a network."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load_file

from fmtt.tracking import Tracker, Wandb
from fmtt.tracking.goals import goals
from fmtt.tracking.wandb_logger import logged_in, run_id
from tests.tracking.tracked import CONFIG, ROWS, showcase, track, wandb_records
from tests.tracking.wandb_server import wandb_server


def test_wandb_offline_run_holds_history_summary_config_and_image(folder, capfd):
    track(folder, Wandb())
    assert capfd.readouterr() == ("", ""), "W&B must not write to the console"

    summary = json.loads(wandb_records(folder, "--summary"))
    assert summary["state"] == "finished" and summary["exit_code"] == 0
    assert summary["project"] == "fmtt" and set(summary["tags"]) == {"search", "symmetry"}
    assert summary["name"] == "mode=search seed=3"
    assert summary["config"]["population"] == CONFIG["population"]
    assert summary["config"]["choices"] == {"mode": "search", "reward": "symmetry"}
    assert summary["config"]["goals"] == {
        "reward/mean": "maximize", "nfe/forward": "minimize", "log_z/stderr": "minimize"
    }  # fmt: skip
    assert summary["summary"]["reward/mean"] == -0.2 and summary["summary"]["resamples"] == [1, 2]
    assert summary["summary"]["ess"] == {"min": pytest.approx(0.6), "last": pytest.approx(0.6)}

    records = [json.loads(line) for line in wandb_records(folder).splitlines()]
    run = next(record["run"] for record in records if record["type"] == "run")
    assert run["run_group"] == "2026-01-02/10-20-30" and run["job_type"] == "sample"
    history = [record["item"] for record in of_type(records, "history")]
    curves = history[: len(ROWS)]
    assert [{name: row[name] for name in ROWS[0]} for row in curves] == ROWS
    assert [row["_step"] for row in history] == list(range(len(ROWS) + 2))
    axes = {metric["name"]: metric.get("step_metric") for metric in of_type(records, "metric")}
    names = {"reward/mean", "ess", "log_z", "film/positions", "film/landings"}
    assert axes == {"t": None, **dict.fromkeys(names, "t")}
    assert file_of(folder, curves[-1], "samples").read_bytes() == (folder / "samples.png").read_bytes()


def test_wandb_shows_frames_over_t_a_table_and_the_weights(folder):
    track(folder, Wandb())
    records = [json.loads(line) for line in wandb_records(folder).splitlines()]
    *_, last, first_frame, last_frame = [record["item"] for record in of_type(records, "history")]
    for row, (t, pixels) in zip((first_frame, last_frame), showcase(folder).frames["film/positions"], strict=True):
        assert row["t"] == t and "reward/mean" not in row
        assert np.array_equal(Image.open(file_of(folder, row, "film/positions")), pixels)
    assert np.all(np.asarray(Image.open(file_of(folder, last_frame, "film/landings"))) == 7)
    assert "film/landings.path" not in first_frame
    assert (last["weights._type"], sum(last["weights.values"])) == ("histogram", 2)

    table = json.loads(file_of(folder, last, "particles").read_text())
    assert table["columns"] == list(showcase(folder).columns)
    assert [row[3:] for row in table["data"]] == [[-0.5, False], [-0.5, True]]


def test_pictures_of_the_table_wait_in_the_run_folder_for_the_upload(folder):
    track(folder, Wandb())
    records = [json.loads(line) for line in wandb_records(folder).splitlines()]
    (artifact,) = of_type(records, "artifact")
    waiting = {entry["path"]: Path(entry["local_path"]) for entry in artifact["manifest"]["contents"]}
    assert all(path.is_file() and path.is_relative_to(folder) for path in waiting.values())
    table = json.loads(waiting.pop("particles.table.json").read_text())
    for number, row in enumerate(table["data"]):
        assert np.array_equal(Image.open(waiting[row[2]["path"]]), np.full((5, 5, 3), 10 * number))
    assert "WANDB_DATA_DIR" not in os.environ, "the next run of a sweep has its own folder"


def test_a_run_with_wandb_has_its_particles_and_its_survivors(fmtt):
    outcome = fmtt("logger=wandb", "mode.ess_threshold=1", "reward.scale=4")
    records = [json.loads(line) for line in wandb_records(outcome.folder).splitlines()]
    history = [record["item"] for record in of_type(records, "history")]
    survivors = [row["ancestors/unique"] for row in history]
    assert survivors == sorted(survivors, reverse=True) and survivors[-1] == outcome.metrics["ancestors/unique"] < 8
    table = json.loads(file_of(outcome.folder, history[-1], "particles").read_text())
    tensors = load_file(outcome.folder / "samples.safetensors")
    assert [tuple(row[:2]) for row in table["data"]] == [(g, n) for g in range(2) for n in range(8)]
    column = table["columns"].index("ancestor")
    assert [row[column] for row in table["data"]] == tensors["ancestors"].flatten().tolist()


@pytest.mark.parametrize(
    ("name", "goal"),
    [
        ("reward/weighted_mean", "maximize"), ("reward/weighted_mean/stderr", "minimize"), ("ess/min", "maximize"),
        ("discrepancy", "minimize"), ("thermodynamic_length", "minimize"), ("nfe/weighted", "minimize"),
        ("time/total_s", "minimize"), ("mmd/floor", None), ("log_z/mean", None), ("reward/base_mean", None),
        ("exact/reward", None), ("population/particles", None),
    ],
)  # fmt: skip
def test_goals_say_which_side_is_better(name, goal):
    assert goals([name]).get(name) == goal


def test_an_offline_run_syncs_without_loss(folder, tmp_path):
    track(folder, Wandb())
    (run,) = folder.glob("wandb/offline-run-*")
    with wandb_server() as (url, received):
        account = {"WANDB_BASE_URL": url, "WANDB_API_KEY": "k" * 40, "HOME": str(tmp_path)}
        environment = {**os.environ, "WANDB_ERROR_REPORTING": "false", **account}
        command = [sys.executable, "-m", "wandb", "sync", "--yes", str(run)]
        subprocess.run(command, env=environment, capture_output=True, check=True, timeout=120)
    told = {"groupName": "2026-01-02/10-20-30", "jobType": "sample", "displayName": "mode=search seed=3"}
    assert {name: received.run[name] for name in told} == told
    history = received.streams["wandb-history.jsonl"]
    assert [{name: row[name] for name in ROWS[0]} for row in history[: len(ROWS)]] == ROWS
    summary = received.streams["wandb-summary.json"][-1]
    assert {name: summary[name] for name in ("reward/mean", "nfe/forward")} == {"reward/mean": -0.2, "nfe/forward": 80}
    assert "goals" in received.files["config.yaml"].decode()
    for file in (path for path in (run / "files").rglob("*") if path.is_file()):
        assert received.files[file.relative_to(run / "files").as_posix()] == file.read_bytes()
    waited = {file.read_bytes() for file in (folder / "wandb" / "artifacts").rglob("tmp*")}
    kept = {content for name, content in received.files.items() if name.startswith("artifact/")}
    assert len(kept) == 3 and kept <= waited  # the table and its two pictures


def file_of(folder: Path, row: dict, name: str) -> Path:
    """The file that a row of the history refers to."""
    (path,) = folder.glob("wandb/offline-run-*/files/" + row[f"{name}.path"])
    return path


def of_type(records: list[dict], kind: str) -> list[dict]:
    """The content of the records of one kind."""
    return [record[kind] for record in records if record["type"] == kind]


def test_a_crash_finishes_the_wandb_run_with_a_failing_exit_code(folder):
    with pytest.raises(RuntimeError, match="boom"), Tracker([Wandb()], folder) as tracker:
        tracker.start(CONFIG)
        tracker.log(ROWS[0], 0)
        raise RuntimeError("boom")
    summary = json.loads(wandb_records(folder, "--summary"))
    assert summary["exit_code"] == 1 and summary["summary"]["reward/mean"] == -1


def test_resuming_goes_on_with_the_same_wandb_run(folder):
    track(folder, Wandb())
    first = run_id(folder)
    track(folder, Wandb(resume=True))
    assert first == run_id(folder)
    assert {record.name for record in folder.glob("wandb/*/run-*.wandb")} == {f"run-{first}.wandb"}


def test_resuming_in_another_folder_goes_on_with_the_same_wandb_run(folder, tmp_path):
    track(folder, Wandb())
    other = tmp_path / "other"
    other.mkdir()
    with Tracker([Wandb(resume=True)], other, earlier=folder) as tracker:
        tracker.start(CONFIG)
        tracker.log(ROWS[0], 0)
        tracker.finish({"reward/mean": -0.5, "log_z/stderr": math.nan})
    assert run_id(other) == run_id(folder)
    summary = json.loads(wandb_records(other, "--summary"))["summary"]
    assert (summary["t"], summary["reward/mean"]) == (0, -0.5)
    assert math.isnan(float(summary.get("log_z/stderr", "nan"))), "what is not known stays unknown"


@pytest.mark.slow
@pytest.mark.parametrize("key", ["", "k" * 40])
def test_an_unreachable_server_means_offline(folder, monkeypatch, capsys, key):
    """Whether nobody is logged in or nobody answers."""
    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.setenv("WANDB_API_KEY", key)
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    track(folder, Wandb())
    assert "recorded offline" in capsys.readouterr().err
    assert json.loads(wandb_records(folder, "--summary"))["exit_code"] == 0


def test_a_mode_that_does_not_exist_is_refused(monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "sometimes")
    with pytest.raises(ValueError, match=r"logger\.wandb\.mode=sometimes.*offline"):
        Wandb()


def test_wandb_mode_disabled_writes_nothing(folder, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "disabled")
    before = set(folder.rglob("*"))
    track(folder, Wandb())
    assert set(folder.rglob("*")) == before


@pytest.mark.parametrize(
    ("variables", "netrc", "expected"),
    [
        ({}, "", False),
        ({"WANDB_API_KEY": "k" * 40}, "", True),
        ({}, "machine api.wandb.ai login user password secret", True),
        ({}, "machine api.forge.coreweave.com login user password secret", True),
        ({}, "machine example.org login user password secret", False),
        ({"WANDB_BASE_URL": "https://w.example.org"}, "machine w.example.org login user password secret", True),
    ],
)
def test_logged_in(monkeypatch, tmp_path, variables, netrc, expected):
    (tmp_path / "netrc").write_text(netrc)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert logged_in() is expected
