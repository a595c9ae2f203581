"""What the loggers leave behind, read back with the readers of TensorBoard and CSV; how they are chosen."""

from __future__ import annotations

import csv
import io
import json
import math

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


def test_a_logger_that_fails_to_close_does_not_keep_the_others_open(folder):
    class Broken(Csv):
        def close(self, failed: bool) -> None:
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        track(folder, Csv(), Broken(), Wandb())
    assert (folder / "csv" / "metrics.csv").is_file()
    assert json.loads(wandb_records(folder, "--summary"))["state"] == "finished"


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
