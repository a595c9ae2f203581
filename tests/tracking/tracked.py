"""What the tests of loggers record: a short history, results, and a showcase."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from fmtt.tracking import Logger, Showcase, Tracker

ROWS = [{"t": k / 4, "reward/mean": -1 + k / 5, "ess": 1 - k / 10, "log_z": -k / 2} for k in range(5)]
METRICS = {"reward/mean": -0.2, "log_z/stderr": math.nan, "resamples": [1, 2], "nfe/forward": 80}
CONFIG = {"seed": 3, "population": {"groups": 2, "particles": 8}}


def showcase(folder: Path) -> Showcase:
    """Two frames of 6 x 4 pixels, at the last of which there are landings too, and a table of two particles."""
    positions = [(t, np.full((4, 6, 3), 100 + number, np.uint8)) for number, t in enumerate((0.0, 1.0))]
    frames = {"film/positions": positions, "film/landings": [(1.0, np.full((4, 6, 3), 7, np.uint8))]}
    rows = [[0, number, np.full((5, 5, 3), 10 * number, np.uint8), -0.5, number == 1] for number in range(2)]
    columns = ["group", "particle", "sample", "reward", "returned"]
    weights = np.array([[0.25, 0.75]])
    return Showcase({"samples": folder / "samples.png"}, frames, columns, rows, weights)


def track(folder: Path, *loggers: Logger) -> None:
    with Tracker(loggers, folder) as tracker:
        tracker.start(CONFIG)
        for step, row in enumerate(ROWS):
            tracker.log(row, step)
        tracker.show(showcase(folder))
        tracker.finish(METRICS)


def wandb_records(folder: Path, *options: str) -> str:
    """What ``wandb leet inspect`` prints of the only run in the folder."""
    (run,) = folder.glob("wandb/offline-run-*/run-*.wandb")
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", *options, str(run)]
    environment = {**os.environ, "WANDB_ERROR_REPORTING": "false"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=60).stdout
