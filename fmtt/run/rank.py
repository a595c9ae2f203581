"""Which of the processes of a run this one is, before anything heavy is imported."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

# words of a process that leaves nothing behind
NO_FOLDER = ("hydra.run.dir=.", "hydra.output_subdir=null", "hydra/job_logging=stdout")


def rank() -> int:
    """The number of this process among those of its run; 0 if there is one."""
    return int(os.environ.get("RANK", os.environ.get("LOCAL_RANK", "0")))


def tasks_of_slurm() -> bool:
    """Whether SLURM has started several processes."""
    return int(os.environ.get("SLURM_NTASKS", "1")) > 1 and "SLURM_PROCID" in os.environ


def started_outside() -> bool:
    """Whether others have started the processes: ``torchrun`` or SLURM."""
    return "TORCHELASTIC_RUN_ID" in os.environ or tasks_of_slurm()


def silently(task: Callable[[], int]) -> int:
    """``task`` of a process that is not the first: nothing is printed, and no failure is reported twice."""
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
        task()
    return 0
