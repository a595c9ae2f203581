"""The law of tilted scenes against rejection, on pictures and weights that are known."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from fmtt import run_folder
from fmtt.data.images import read_sample
from fmtt.flow import noise
from fmtt.studies.scenes_law import by_rejection, by_weights, deviation, study_scenes_law
from tests.run_folder import make_run

TEXT, SCALE, GROUPS, PARTICLES = "a red circle and a blue triangle", 2.0, 8, 40
PICTURES = [read_sample("path", name, (3, 32, 32)).numpy() for name in ("scene_1", "scene_2")]  # right and wrong
REWARDS = np.array([-0.1, -0.6])  # of the two pictures


def drawn(share: float) -> np.ndarray:
    """Which picture each particle is, ``(GROUPS, PARTICLES)``; a share is right."""
    return (noise.uniform((GROUPS, PARTICLES), 0, "scenes law").numpy() > share).astype(int)


def exact() -> tuple[float, float]:
    """Log Z and the share of right pictures, if half of the base model's are right."""
    tilt = np.exp(SCALE * REWARDS)
    return math.log(tilt.mean()), tilt[0] / tilt.sum()


def test_rejection_and_weights_agree_with_the_answer() -> None:
    which = torch.from_numpy(drawn(0.5))
    right, rewards = (which == 0).double(), torch.from_numpy(REWARDS)[which]
    log_weights = SCALE * rewards
    log_z = log_weights.logsumexp(1) - math.log(PARTICLES)
    for law in (by_rejection(right, rewards, SCALE, TEXT), by_weights(right, log_weights, log_z)):
        assert abs(deviation(law.log_z, (exact()[0], 0.0))) < 3
        assert abs(deviation(law.right, (exact()[1], 0.0))) < 3
        assert 0 < law.right[1] < 0.06
    unweighted = by_weights(right, torch.zeros_like(log_weights), torch.zeros(GROUPS))
    assert deviation(unweighted.right, (exact()[1], 0.0)) < -4, "samples of the base model have another law"


def test_shares_of_none_and_of_all_have_errors() -> None:
    p = 1 / 102
    for right in (0.0, 1.0):
        law = by_rejection(torch.full((2, 50), right), torch.zeros(2, 50), SCALE, TEXT)
        assert law.right == (right, pytest.approx(math.sqrt(p * (1 - p) / 100)))


def make(folder: Path, mode: str, which: np.ndarray, log_weights: np.ndarray, log_z: np.ndarray) -> None:
    metrics = {"log_z": log_z.tolist()}
    config = {"reward": {"scale": SCALE}}
    run = make_run(folder, (3, 32, 32), (f"mode={mode}",), groups=GROUPS, metrics=metrics, config=config)
    run_folder.write_prompts(run, [TEXT], [""], [{"reward/mean": 0.0}])
    arrays = {
        "samples": np.stack(PICTURES)[which].astype(np.float32),
        "rewards": REWARDS[which],
        "log_weights": log_weights,
        "prompt": np.zeros(GROUPS, int),
    }
    save_file(arrays, run / "samples.safetensors")


def test_the_table_shows_who_is_off(tmp_path: Path) -> None:
    which = drawn(0.5)
    tilt = SCALE * REWARDS[which]
    log_z = np.log(np.exp(tilt).mean(1))
    make(tmp_path / "0", "base", which, np.zeros_like(tilt), np.zeros(GROUPS))
    make(tmp_path / "1", "importance", which, tilt, log_z)
    make(tmp_path / "2", "guidance", which, np.zeros_like(tilt), log_z)
    lines = study_scenes_law([tmp_path], tmp_path / "table").splitlines()
    rows = {cells[2].strip(): cells for cells in (line.split("|") for line in lines[2:])}
    assert lines[2].startswith(f"| {TEXT} | rejection | -0.")
    assert abs(float(rows["importance"][6])) < 2
    assert float(rows["guidance"][6]) < -2.5
    assert (tmp_path / "table.png").is_file()


def test_without_base_samples_there_is_no_truth(tmp_path: Path) -> None:
    which = drawn(0.5)
    make(tmp_path / "1", "importance", which, SCALE * REWARDS[which], np.zeros(GROUPS))
    with pytest.raises(ValueError, match="no finished runs of mode=base"):
        study_scenes_law([tmp_path], tmp_path / "table")
