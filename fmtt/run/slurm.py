"""Jobs of submitit, on SLURM or as processes of this machine: what they say, how they end, and those that are lost."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import DictConfig, OmegaConf, open_dict

from fmtt.run.checkpoint import digest
from fmtt.run_folder import MANIFEST, OVERRIDES, damaged, read_metrics, write_error

SLURM, LOCAL = "SlurmLauncher", "LocalLauncher"  # the ends of the names of Hydra's launchers
POLL = 60  # seconds between two looks at the queue; SLURM forgets a job some minutes after its end
JOBS = "submitit.core.job_environment"
LOST = "the job was lost: its process was killed, perhaps for lack of memory, or the machine failed"


def prepare(launcher: str) -> None:
    """Let submitit do what a sweep of ours needs, if ``launcher`` is one of its launchers."""
    if launcher.endswith(SLURM):
        be_quiet_without_accounting()
    if launcher.endswith((SLURM, LOCAL)):
        go_on_without_lost_jobs()
        start_only_what_is_not_done()


def be_quiet_without_accounting() -> None:
    """Let submitit read the states of jobs from the queue, where SLURM keeps no record of them."""
    import submitit

    from fmtt.run.slurm_queue import QueueWatcher

    logging.getLogger("submitit").addFilter(lambda record: record.levelno >= logging.ERROR)
    try:
        known = subprocess.run(["sacct", "--noheader"], capture_output=True).returncode == 0
    except FileNotFoundError:
        known = False
    if not known:
        submitit.SlurmJob.watcher = QueueWatcher(delay_s=POLL)


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
            leave_lost(job)
            lost = JobReturn()
            lost.status, lost.return_value = JobStatus.COMPLETED, None  # Hydra would end the sweep for a failure
            return [lost]

    Job.results = results_or_failure


class Done(NamedTuple):
    """A run that was done before, in the place of a job.

    Attributes:
        value: what it returned.
    """

    value: float

    def results(self) -> list[JobReturn]:
        found = JobReturn()
        found.status, found.return_value = JobStatus.COMPLETED, self.value
        return [found]


@cache
def start_only_what_is_not_done() -> None:
    """With ``resume=true``, runs that are done get no job: one costs more than a look at the files of a run."""
    from submitit import AutoExecutor

    submit = AutoExecutor.map_array

    def submit_the_others(executor: Any, launcher: Any, *arguments: Any) -> list[Any]:
        calls = list(zip(*arguments, strict=True))
        values = values_of_done(launcher, [(overrides, number) for overrides, _, number, *_ in calls])
        left = [call for call, value in zip(calls, values, strict=True) if value is None]
        if len(left) < len(calls):
            print(f"fmtt: note: {len(calls) - len(left)} of {len(calls)} runs are done already", file=sys.stderr)
        jobs = iter(submit(executor, launcher, *zip(*left, strict=True)) if left else ())
        return [next(jobs) if value is None else Done(value) for value in values]

    AutoExecutor.map_array = submit_the_others


def values_of_done(launcher: Any, runs: Sequence[tuple[list[str], int]]) -> list[float | None]:
    """What the runs with these overrides and numbers returned; None for those that are not done."""
    if not any(Path(launcher.config.hydra.sweep.dir).rglob(MANIFEST)):  # composing takes a while
        return [None] * len(runs)
    return [value_of_done(config_of(launcher, *run)) for run in runs]


def value_of_done(config: DictConfig) -> float | None:
    """What a run returned, if it may be resumed and is done."""
    hydra, folder = HydraConfig.instance(), folder_in(config)
    before, hydra.cfg = hydra.cfg, config
    try:
        own = OmegaConf.masked_copy(config, [key for key in config if key != "hydra"])
        if not own.resume or damaged(folder, digest(own), own.report) != []:
            return None
        return float(read_metrics(folder)["reward/weighted_mean"])  # type: ignore[arg-type]
    finally:
        hydra.cfg = before


def leave_lost(job: Any) -> None:
    """Leave in its folder what the run of a lost job was, which perhaps never began, and that it failed."""
    call = job.submission()
    overrides, _, number, *_ = call.args
    config = config_of(call.function, overrides, number)
    folder = folder_in(config)
    if not (folder / OVERRIDES).exists():  # by them it is known for a run
        (folder / OVERRIDES).parent.mkdir(parents=True, exist_ok=True)
        OmegaConf.save(config.hydra.overrides.task, folder / OVERRIDES)
    write_error(folder, 1, LOST)


def config_of(launcher: Any, overrides: Sequence[str], number: int) -> DictConfig:
    """The configuration of the run with this number in a sweep."""
    config: DictConfig = launcher.hydra_context.config_loader.load_sweep_config(launcher.config, list(overrides))
    with open_dict(config.hydra.job):
        config.hydra.job.num = number
    return config


def folder_in(config: DictConfig) -> Path:
    """The folder of a run of a sweep."""
    return Path(config.hydra.sweep.dir) / config.hydra.sweep.subdir


def in_a_job() -> bool:
    """Whether this process is a job of submitit, which has one run alone."""
    return JOBS in sys.modules and "SUBMITIT_EXECUTOR" in os.environ


def stop_like_ctrl_c() -> None:
    """In a job, let the signal of SLURM interrupt a run as Ctrl-C does.

    submitit ends the process by ``sys.exit``. Inside of a model or a reward that looks like a fault of theirs.
    """
    if in_a_job():
        sys.modules[JOBS].SignalHandler._exit = interrupt


def interrupt(handler: Any) -> None:
    raise KeyboardInterrupt("the job ends, and goes on later")


@contextmanager
def warned(heard: Callable[[], None]) -> Iterator[None]:
    """In a job, call ``heard`` at SIGTERM, which SLURM sends some seconds before it kills a job to start another one.

    The run goes on: SLURM takes a job that ends by itself for done, and does not start it again.
    """
    if not in_a_job():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda *_: heard())
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
