"""What the loggers leave behind, read back with the readers of TensorBoard and CSV; how they are chosen."""

from __future__ import annotations

import csv
import io
import json
import math
import time
from threading import Event

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import OmegaConf
from PIL import Image

from fmtt.run.configs import CONFIGS
from fmtt.tracking import Csv, TensorBoard, Wandb, hydra_choices, run_name, sweep_name
from fmtt.tracking.wandb_logger import run_id
from tests.tracking.tracked import CONFIG, ROWS, track, wandb_records


def test_csv(folder):
    track(folder, Csv())
    with (folder / "csv" / "metrics.csv").open() as file:
        *rows, final = csv.DictReader(file)
    assert [{name: float(row[name]) for name in ROWS[0]} for row in rows] == ROWS
    assert float(final["final/reward/mean"]) == -0.2 and final["final/log_z/stderr"] == "nan"
    assert OmegaConf.load(folder / "csv" / "hparams.yaml") == CONFIG


def test_tensorboard(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    track(folder, TensorBoard())
    events = EventAccumulator(str(folder / "tensorboard"), size_guidance={"scalars": 0}).Reload()
    curve = events.Scalars("reward/mean")
    assert [event.step for event in curve] == list(range(len(ROWS)))
    assert [event.value for event in curve] == pytest.approx([row["reward/mean"] for row in ROWS])
    assert events.Scalars("final/reward/mean")[-1].value == pytest.approx(-0.2)
    assert math.isnan(events.Scalars("final/log_z/stderr")[-1].value)
    assert (events.Images("samples")[0].width, events.Images("samples")[0].height) == (12, 8)
    frames = [event.encoded_image_string for event in events.Images("film/positions")]
    assert [np.asarray(Image.open(io.BytesIO(frame)))[0, 0, 0] for frame in frames] == [100, 101]
    assert "_hparams_/session_start_info" in events.Tags()["scalars"] + list(events.summary_metadata)


def test_none_writes_nothing(folder):
    before = set(folder.rglob("*"))
    track(folder)
    assert set(folder.rglob("*")) == before


@pytest.mark.parametrize("method", ["start", "log", "show", "finish", "close"])
def test_a_logger_that_fails_costs_its_log_alone(folder, capsys, method):
    class Broken(Csv):
        closed = 0

        def close(self, failed: bool) -> None:
            type(self).closed += 1

    def broken(*_: object) -> None:
        raise OSError("disk\nfull")

    if method != "close":
        setattr(Broken, method, broken)
    else:
        Broken.close = broken
    track(folder, Csv(), Broken(), Wandb())
    assert (folder / "csv" / "metrics.csv").is_file()
    assert json.loads(wandb_records(folder, "--summary"))["state"] == "finished"
    line = "fmtt: warning: the logger Broken failed with OSError: disk full; the run goes on without it\n"
    assert capsys.readouterr().err.count(line) == 1
    assert Broken.closed == (method != "close"), "it is closed all the same"


@pytest.mark.parametrize("method", ["start", "log", "close"])
def test_a_logger_that_hangs_does_not_hold_up_the_run(folder, capsys, monkeypatch, method):
    monkeypatch.setattr("fmtt.tracking.guarded.PATIENCE", 0.3)
    monkeypatch.setattr("fmtt.tracking.guarded.silent", [])
    hung = Event()

    class Hanging(Csv):
        pass

    setattr(Hanging, method, lambda *_: hung.wait(60))
    begun = time.monotonic()
    track(folder, Hanging(), Csv())
    hung.set()
    assert time.monotonic() - begun < 5
    line = "fmtt: warning: the logger Hanging has not answered for 0 seconds; the run goes on without it\n"
    assert capsys.readouterr().err.count(line) == 1
    with (folder / "csv" / "metrics.csv").open() as file:
        assert len(list(csv.DictReader(file))) == len(ROWS) + 1


def test_rows_come_in_their_order(folder):
    class Slow(Csv):
        def log(self, row, step: int) -> None:
            time.sleep(0.01)
            super().log(row, step)

    track(folder, Slow())
    with (folder / "csv" / "metrics.csv").open() as file:
        *rows, _ = csv.DictReader(file)
    assert [{name: float(row[name]) for name in ROWS[0]} for row in rows] == ROWS


def test_names_of_a_run_outside_hydra(tmp_path):
    assert hydra_choices(tmp_path) == {} and run_name(tmp_path) == tmp_path.name
    assert sweep_name(tmp_path) is None and run_id(tmp_path) is None


@pytest.mark.parametrize(
    ("word", "kinds"),
    [
        ("", [Wandb]),
        ("logger=wandb", [Wandb]),
        ("logger=csv", [Csv]),
        ("logger=[wandb,csv]", [Wandb, Csv]),
        ("logger=[csv,tensorboard,wandb]", [Csv, TensorBoard, Wandb]),
        ("logger=none", []),
    ],
)
def test_every_spelling_of_the_logger_group(word, kinds):
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        config = compose("config", overrides=[word] if word else [])
    loggers = [instantiate(node) for node in config.logger.values()]
    assert [type(logger) for logger in loggers] == kinds
