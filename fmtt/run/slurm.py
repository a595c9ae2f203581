"""Jobs of submitit, on SLURM or as processes of this machine: what they say, how they end, and those that are lost."""

from __future__ import annotations

import logging
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from omegaconf import DictConfig, open_dict

from fmtt.run_folder import write_error

SLURM, LOCAL = "SlurmLauncher", "LocalLauncher"  # the ends of the names of Hydra's launchers
LOST = "the job was lost: its process was killed, perhaps for lack of memory, or the machine failed"


def prepare(launcher: str) -> None:
    """Let submitit do what a sweep of ours needs, if ``launcher`` is one of its launchers."""
    if launcher.endswith(SLURM):
        be_quiet_without_accounting()
    if launcher.endswith((SLURM, LOCAL)):
        go_on_without_lost_jobs()


def be_quiet_without_accounting() -> None:
    """Let submitit read the states of jobs from their files alone, where SLURM keeps no record of them."""
    import submitit

    logging.getLogger("submitit").addFilter(lambda record: record.levelno >= logging.ERROR)
    try:
        known = subprocess.run(["sacct", "--noheader"], capture_output=True).returncode == 0
    except FileNotFoundError:
        known = False
    if not known:
        submitit.SlurmJob.watcher.update = lambda: None


@cache  # once in a process: the change stays
def go_on_without_lost_jobs() -> None:
    """A job that left no result is a run that failed; without this, it would end the whole sweep."""
    from submitit.core.core import Job
    from submitit.core.utils import UncompletedJobError

    results = Job.results

    def results_or_failure(job: Any) -> list[Any]:
        try:
            return results(job)
        except UncompletedJobError:
            write_error(folder_of(job), 1, LOST)
            lost = JobReturn()
            lost.status, lost.return_value = JobStatus.COMPLETED, None  # Hydra would end the sweep for a failure
            return [lost]

    Job.results = results_or_failure


def folder_of(job: Any) -> Path:
    """The folder of the run of a job of Hydra's launcher."""
    call = job.submission()
    overrides, _, number, *_ = call.args
    config: DictConfig = call.function.hydra_context.config_loader.load_sweep_config(call.function.config, overrides)
    with open_dict(config.hydra.job):
        config.hydra.job.num = number
    folder = Path(config.hydra.sweep.dir) / config.hydra.sweep.subdir
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def stop_like_ctrl_c() -> None:
    """In a job, let the signal of SLURM interrupt a run as Ctrl-C does.

    submitit ends the process by ``sys.exit``. Inside of a model or a reward that looks like a fault of theirs.
    """
    jobs = sys.modules.get("submitit.core.job_environment")
    if jobs is not None:
        jobs.SignalHandler._exit = interrupt


def interrupt(handler: Any) -> None:
    raise KeyboardInterrupt("the job ends, and goes on later")
