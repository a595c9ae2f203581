"""The job script of an array makes each part of the prompts once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from fmtt.run.benchmark import Task, make_pictures
from tests.benchmarks.test_benchmark_pictures import RUN, contents
from tests.benchmarks.tiny import write_configs, write_prompts

ROOT = Path(__file__).parents[2]


def job(number: int, count: int, words: list[str], first: int = 0) -> subprocess.CompletedProcess[str]:
    """The job of this number of an array, as SLURM starts it."""
    array = {"ID": number, "COUNT": count, "MIN": first, "STEP": 1}
    told = {f"SLURM_ARRAY_TASK_{name}": str(value) for name, value in array.items()}
    environment = {**os.environ, **told, "PYTHON": sys.executable, "PYTHONPATH": str(ROOT)}
    command = ["bash", "scripts/benchmark_array.sh", *words]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)


def test_the_jobs_of_an_array_make_all_pictures(tmp_path: Path) -> None:
    path, settings = write_prompts(tmp_path / "published")["geneval"], [write_configs(tmp_path / "configs"), *RUN]
    words = ["benchmark=geneval", f"prompts={path}", f"folder={tmp_path / 'parts'}", "--", *settings]
    for number in (0, 1):
        done = job(number, 2, words)
        assert done.returncode == 0, done.stderr
    whole = make_pictures(Task("geneval", str(path), str(tmp_path / "whole")), settings)
    assert contents(whole) == contents(tmp_path / "parts" / "pictures")


def test_an_array_that_would_leave_prompts_out_is_refused(tmp_path: Path) -> None:
    done = job(1, 2, ["benchmark=geneval"], first=1)
    assert done.returncode == 2
    assert done.stderr == "fmtt: --array: must begin at 0 and have every number, such as --array=0-15\n"
