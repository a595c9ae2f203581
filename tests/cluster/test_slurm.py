"""Sweeps on a real SLURM: the results of a local sweep, also after a requeue and without the process that submitted."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.one_node import one_node, said, wait_for, why_not
from tests.command import SMALL

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(why_not() is not None, reason=str(why_not())),
    pytest.mark.xdist_group("slurm"),
]
ROOT = Path(__file__).resolve().parents[2]
SEEDS = 6
COMPUTED = ("samples.safetensors", "history.csv", "returned.csv")
RESOURCES = ("hydra.launcher.cpus_per_task=1", "hydra.launcher.mem_gb=1", "checkpoint.seconds=0.5")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with one_node(tmp_path_factory.mktemp("cluster")) as environment:
        yield environment | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def command(folder: Path, *words: str) -> list[str]:
    """A sweep of runs that take some seconds each."""
    seeds = ",".join(map(str, range(SEEDS)))
    own = [
        f"seed={seeds}",
        "lookahead=denoiser",
        "sampler.steps=1500",
        "mode.ess_threshold=0.5",
        "report=false",
        "baseline=false",
    ]
    return [sys.executable, "-m", "fmtt", "-m", *SMALL, *own, "logger=none", *words, f"hydra.sweep.dir={folder}"]


@pytest.fixture(scope="module")
def local(cluster: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("local") / "sweep"
    subprocess.run(command(folder, "launcher=local"), env=cluster, cwd=folder.parent, check=True, capture_output=True)
    return folder


def compare(folder: Path, local: Path) -> None:
    with (folder / "summary.csv").open(newline="") as file:
        assert [row["status"] for row in csv.DictReader(file)] == ["done"] * SEEDS
    for number in range(SEEDS):
        for name in COMPUTED:
            assert (folder / str(number) / name).read_bytes() == (local / str(number) / name).read_bytes()


def running(cluster: dict[str, str]) -> list[str]:
    """The jobs that run now."""
    return said(cluster, "squeue", "-h", "-t", "RUNNING", "-o", "%i").split()


def test_an_array_with_a_requeued_job_gives_what_a_local_sweep_gives(
    cluster: dict[str, str], local: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "sweep"
    sweep = subprocess.Popen(
        command(folder, "launcher=slurm", *RESOURCES), env=cluster, cwd=tmp_path, stderr=subprocess.PIPE, text=True,
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    wait_for(lambda: any(folder.glob("*/checkpoint-*.pt")), 120)
    number = next(folder.glob("*/checkpoint-*.pt")).parent.name
    (job,) = [job for job in running(cluster) if job.endswith(f"_{number}")]
    subprocess.run(["scontrol", "requeue", job], env=cluster, check=True)
    _, err = sweep.communicate(timeout=400)
    assert sweep.returncode == 0, err
    assert "sacct" not in err and "srun" not in err, err
    compare(folder, local)


def test_a_sweep_whose_submitting_process_is_killed_is_attached_again(
    cluster: dict[str, str], local: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "sweep"
    words = command(folder, "launcher=slurm", *RESOURCES)
    sweep = subprocess.Popen(words, env=cluster, cwd=tmp_path, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    wait_for(lambda: any(folder.glob("*/checkpoint-*.pt")), 120)
    os.kill(sweep.pid, signal.SIGKILL)
    sweep.wait()
    again = subprocess.run(words, env=cluster, cwd=tmp_path, capture_output=True, text=True, timeout=400)
    assert again.returncode == 0, again.stderr
    compare(folder, local)


def test_a_failed_job_is_one_line(cluster: dict[str, str], tmp_path: Path) -> None:
    folder = tmp_path / "sweep"
    done = subprocess.run(
        command(folder, "launcher=slurm", *RESOURCES, "reward.scale=1,nan", "seed=0", "sampler.steps=4"), env=cluster,
        cwd=tmp_path, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 2
    lines = [line for line in done.stderr.splitlines() if " failed: " in line and "runs of this sweep" not in line]
    assert len(lines) == 1 and "reward.scale=nan" in lines[0] and "Traceback" not in done.stderr, done.stderr
