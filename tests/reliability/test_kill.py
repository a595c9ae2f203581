"""Runs that are killed at random moments, and resumed until they are done, leave the bytes of a run that was not.

``make kill`` does it 50 times, ``make test`` once. Processes are forked from one that has imported everything.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import sys
import time
from pathlib import Path

import pytest

TRIES = int(os.environ.get("FMTT_TRIES", "1"))
WORDS = (
    "model=gmm", "reward=quadratic", "lookahead=flowmap1", "population.groups=4", "population.particles=64",
    "sampler.steps=60", "mode.ess_threshold=0.9", "logger=csv", "checkpoint.seconds=0.05", "resume=true",
)  # fmt: skip
COMPUTED = ("samples.safetensors", "history.csv", "returned.csv", "film.safetensors")
STOPS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def work(folder: str) -> None:
    """The command, in a process of its own."""
    import torch

    from fmtt.run.cli import main

    torch.set_num_threads(1)
    sys.argv = ["run.py", *WORDS, f"hydra.run.dir={folder}"]
    os.chdir(Path(folder).parent)
    with Path(os.devnull).open("w") as nothing:
        sys.stdout = sys.stderr = nothing
        os._exit(main())


@pytest.fixture(scope="module")
def forks() -> multiprocessing.context.ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["fmtt.run.execute", "fmtt.report.run.page", "lightning.pytorch.loggers"])
    return context


def finished(forks: multiprocessing.context.ForkServerContext, folder: Path) -> float:
    """Seconds that the command takes until it is done."""
    begun = time.monotonic()
    process = forks.Process(target=work, args=(str(folder),))
    process.start()
    process.join(120)
    assert process.exitcode == 0
    return time.monotonic() - begun


@pytest.fixture(scope="module")
def whole(forks: multiprocessing.context.ForkServerContext, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("whole") / "run"


@pytest.mark.parametrize("number", range(TRIES))
def test_a_run_that_is_killed_is_resumed_to_the_same_bytes(
    forks: multiprocessing.context.ForkServerContext, whole: Path, tmp_path: Path, number: int
) -> None:
    if not whole.exists():
        finished(forks, whole)  # the first start is slow
        finished(forks, whole.with_name("timed"))
    took = finished(forks, tmp_path / "timed")
    chance, folder = random.Random(number), tmp_path / "run"
    for _ in range(3):
        process = forks.Process(target=work, args=(str(folder),))
        process.start()
        time.sleep(chance.uniform(0.1, 1.05) * took)
        stop = chance.choice(STOPS)
        if process.pid is not None and process.is_alive():
            os.kill(process.pid, stop)
        process.join(60)
        assert process.exitcode is not None, f"{stop.name} does not end it"
    finished(forks, folder)
    for name in COMPUTED:
        assert (folder / name).read_bytes() == (whole / name).read_bytes(), name
    assert (folder / "report.html").is_file() and (folder / "manifest.json").is_file()
    assert not list(folder.glob("checkpoint-*")) and not list(folder.glob(".partial-*"))
