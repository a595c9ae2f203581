"""Sweeps on a real SLURM: results of a local sweep, after stops of jobs and of the process that submitted, too."""

from __future__ import annotations

import csv
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
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
STARTS = "Starting with JobEnvironment"
RESOURCES = ("hydra.launcher.cpus_per_task=1", "hydra.launcher.mem_gb=1")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with one_node(tmp_path_factory.mktemp("cluster")) as environment:
        yield environment | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def command(folder: Path, *words: str, seeds: int = SEEDS, logger: str = "none") -> list[str]:
    """A sweep of runs that take a quarter of a minute each; SLURM kills a job some seconds after its requeue."""
    own = [
        f"seed={','.join(map(str, range(seeds)))}", "lookahead=denoiser", "mode.ess_threshold=0.5", "report=false",
        "baseline=false", f"logger={logger}", f"hydra.sweep.dir={folder}",
    ]  # fmt: skip
    steps = [] if any(word.startswith("sampler.steps=") for word in words) else ["sampler.steps=8000"]
    small = [word for word in SMALL if not word.startswith(("sampler.steps", "lookahead"))]
    return [sys.executable, "-m", "fmtt", "-m", *small, *own, *steps, *words]


@pytest.fixture(scope="module")
def local(cluster: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("local") / "sweep"
    words = command(folder, "launcher=joblib", "hydra.launcher.n_jobs=2")
    subprocess.run(words, env=cluster, cwd=folder.parent, check=True, capture_output=True)
    return folder


def compare(folder: Path, local: Path) -> None:
    with (folder / "summary.csv").open(newline="") as file:
        assert [row["status"] for row in csv.DictReader(file)] == ["done"] * SEEDS
    for number in range(SEEDS):
        for name in COMPUTED:
            assert (folder / str(number) / name).read_bytes() == (local / str(number) / name).read_bytes()


@contextmanager
def started(words: list[str], environment: dict[str, str], where: Path) -> Iterator[subprocess.Popen[str]]:
    """The process that submits and waits; it is killed at the end if it lives."""
    with subprocess.Popen(
        words, env=environment, cwd=where, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    ) as sweep:
        try:
            yield sweep
        finally:
            sweep.kill()


def running(cluster: dict[str, str]) -> list[str]:
    """The jobs that run now."""
    return said(cluster, "squeue", "-h", "-t", "RUNNING", "-o", "%i").split()


def job_of(cluster: dict[str, str], number: str) -> str:
    """The job that has the run of this number now."""
    (job,) = [job for job in running(cluster) if job.endswith(f"_{number}")]
    return job


def log_of(folder: Path, number: str) -> str:
    """What the job of the run of this number has said, in all its attempts."""
    (log,) = folder.glob(f".submitit/*_{number}/*_log.out")
    return log.read_text()


def test_an_array_with_a_job_that_is_stopped_twice_gives_what_a_local_sweep_gives(
    cluster: dict[str, str], local: Path, tmp_path: Path
) -> None:
    """Once by the requeue of a preemption, which kills it, and once by the signal that comes before the end of time.

    It goes on twice, and W&B has one run.
    """
    folder = tmp_path / "sweep"
    words = command(folder, "launcher=slurm", *RESOURCES, "checkpoint.every=1500", logger="wandb")
    with started(words, cluster | {"WANDB_MODE": "offline"}, tmp_path) as sweep:
        wait_for(lambda: any(folder.glob("*/checkpoint-*.pt")))
        checkpoint = next(folder.glob("*/checkpoint-*.pt"))
        number = checkpoint.parent.name
        subprocess.run(["scontrol", "requeue", job_of(cluster, number)], env=cluster, check=True)
        wait_for(lambda: log_of(folder, number).count(STARTS) == 2)
        written = checkpoint.stat().st_mtime_ns
        wait_for(lambda: checkpoint.stat().st_mtime_ns > written)
        subprocess.run(["scancel", "--signal=USR2", job_of(cluster, number)], env=cluster, check=True)
        _, err = sweep.communicate(timeout=400)
    assert sweep.returncode == 0, err
    assert "sacct" not in err and "srun" not in err, err
    log = log_of(folder, number)
    assert log.count(STARTS) == 3, log
    assert log.count("no checkpoint of this configuration") == 1, log
    assert 'fmtt/run/execute.py", line' not in log and "the job ends, and goes on later; checkpoint in" in log, log
    attempts = [path.name.rsplit("-", 1)[1] for path in (folder / number).rglob("offline-run-*")]
    assert len(attempts) == 3 and len(set(attempts)) == 1
    compare(folder, local)


def test_a_sweep_whose_submitting_process_is_killed_is_attached_again(
    cluster: dict[str, str], local: Path, tmp_path: Path
) -> None:
    """What is done is not done again."""
    folder = tmp_path / "sweep"
    words = command(folder, "launcher=slurm", *RESOURCES)
    with started(words, cluster, tmp_path):
        wait_for(lambda: any(folder.glob("*/manifest.json")))
    done = {file: file.stat().st_mtime_ns for file in folder.glob("*/manifest.json")}
    again = subprocess.run(words, env=cluster, cwd=tmp_path, capture_output=True, text=True, timeout=400)
    assert again.returncode == 0, again.stderr
    assert {file: file.stat().st_mtime_ns for file in done} == done
    compare(folder, local)


def test_a_job_that_is_cancelled_is_a_run_that_failed(cluster: dict[str, str], tmp_path: Path) -> None:
    """Without accounting, too: the queue tells that it has ended. The others go on."""
    folder = tmp_path / "sweep"
    words = command(folder, "launcher=slurm", *RESOURCES, "sampler.steps=200", seeds=2)
    with started(words, cluster, tmp_path) as sweep:
        wait_for(lambda: any(job.endswith("_1") for job in running(cluster)))
        subprocess.run(["scancel", job_of(cluster, "1")], env=cluster, check=True)
        _, err = sweep.communicate(timeout=300)
    assert sweep.returncode == 1, err
    with (folder / "summary.csv").open(newline="") as file:
        rows = [row["status"] for row in csv.DictReader(file)]
    assert rows[0] == "done" and "the job was lost" in rows[1]


def test_a_run_of_two_tasks_gives_what_one_process_gives(cluster: dict[str, str], tmp_path: Path) -> None:
    tasks = ("devices=2", "hydra.launcher.tasks_per_node=2")
    for name, launcher in (("one", ("launcher=local",)), ("two", ("launcher=slurm", *RESOURCES, *tasks))):
        words = command(tmp_path / name, "population.chunk=4", "sampler.steps=20", "device=cpu", *launcher, seeds=2)
        done = subprocess.run(words, env=cluster, cwd=tmp_path, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "two").glob(".submitit/*/*_log.out"))) == 4, "each task of each job says something"
    for number in "01":
        for name in COMPUTED:
            one, two = ((tmp_path / sweep / number / name).read_bytes() for sweep in ("one", "two"))
            assert one == two


def test_a_failed_job_is_one_line(cluster: dict[str, str], tmp_path: Path) -> None:
    folder = tmp_path / "sweep"
    done = subprocess.run(
        command(folder, "launcher=slurm", *RESOURCES, "reward.scale=1,nan", "sampler.steps=4", seeds=1),
        env=cluster, cwd=tmp_path, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 2
    lines = [line for line in done.stderr.splitlines() if " failed: " in line and "runs of this sweep" not in line]
    assert len(lines) == 1 and "reward.scale=nan" in lines[0] and "Traceback" not in done.stderr, done.stderr
