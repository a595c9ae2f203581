"""The command line: Hydra composes, errors become one line, and the exit status says whose fault it was."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, suppress
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobStatus
from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import MarkedYAMLError

from fmtt.checks import whole_number
from fmtt.files import write_whole
from fmtt.run import composed, lines, new_folder
from fmtt.run.allocator import keep_freed_memory
from fmtt.run.configs import CONFIGS
from fmtt.run.errors import ConfigurationError, one_line
from fmtt.run.explain import explain, plain
from fmtt.run.last_folder import SWEEP_FLAGS, folder_to_resume
from fmtt.run.lock import INSTEAD, FolderTakenError, holder, locked
from fmtt.run.own_files import wrong_file
from fmtt.run.rank import NO_FOLDER, rank, silently
from fmtt.run.slurm import LOCAL, SLURM, in_a_job, prepare, stop_like_ctrl_c
from fmtt.run.sweep_progress import Progress, note, size
from fmtt.run.words import wrong_word
from fmtt.run_folder import COMPARISON, ERROR, MULTIRUN, read_error, write_error
from fmtt.tracking.guarded import silent

DONE, FAILED, WRONG_CONFIGURATION = 0, 1, 2
new_folder.register()
lines.register()
composed.register()
_statuses: list[int] = []  # of the runs of this command
_watching: list[Progress] = []  # the sweep of this command, on a terminal
_sweeps: list[Path] = []  # the folder of the sweep of this command, until it is summarised
_holds = ExitStack()  # that folder, which no other command may use meanwhile
KILLED = "a process of the sweep was killed, perhaps for lack of memory; the others go on"
RESTARTS = 10  # of a sweep whose processes are killed


class RefusedError(BaseException):
    """What a callback refuses. Hydra would go on after another exception of a callback."""


def main() -> int:
    """Run ``run.py``; the exit status is 0 done, 2 the configuration is wrong, 1 anything else.

    Of several processes of a run the first one speaks.
    """
    return silently(_main) if rank() > 0 else _main()


def _main() -> int:
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # lets errors through to here, unformatted
    for stop in (signal.SIGTERM, signal.SIGHUP):  # they leave a checkpoint as Ctrl-C does
        signal.signal(stop, signal.default_int_handler)
    _statuses.clear()
    _sweeps.clear()
    if problem := wrong_word(sys.argv[1:]) or wrong_file(sys.argv[1:]):
        print(f"fmtt: {problem}", file=sys.stderr)
        return WRONG_CONFIGURATION
    words = sorted(sys.argv[1:], key=lambda word: word not in SWEEP_FLAGS)  # Hydra wants them before the settings
    sys.argv[1:] = [*words, *(NO_FOLDER if rank() > 0 else folder_to_resume(words))]
    try:
        try:
            _run_all()
        finally:
            _stop_watching()  # before anything is said
            _holds.close()
    except RefusedError as error:
        print(f"fmtt: {error}", file=sys.stderr)
        return WRONG_CONFIGURATION
    except (HydraException, OmegaConfBaseException) as error:
        print(f"fmtt: {explain(error, sys.argv[1:])}", file=sys.stderr)
        return WRONG_CONFIGURATION
    except MarkedYAMLError as error:  # in a file of the user
        mark = error.problem_mark
        place = f"{mark.name}, line {mark.line + 1}: " if mark else ""
        print(f"fmtt: {place}{error.problem}", file=sys.stderr)
        return WRONG_CONFIGURATION
    except OSError as error:  # a folder that cannot be written
        print(f"fmtt: {error.filename}: {error.strerror}", file=sys.stderr)
        return WRONG_CONFIGURATION
    except KeyboardInterrupt as interrupt:
        _summarise_what_there_is()
        print(f"fmtt: interrupted{': ' + str(interrupt) if str(interrupt) else ''}", file=sys.stderr)
        return FAILED
    except BrokenProcessPool:
        _summarise_what_there_is()
        print("fmtt: processes of the sweep are killed again and again; resume=true goes on", file=sys.stderr)
        return FAILED
    return max(_statuses, default=DONE)


def _run_all() -> None:
    """Compose and run; if a run of a sweep kills the processes that do it, the sweep goes on with what is left.

    A run that was in one of them is done again in a process of its own.
    """
    for _ in range(RESTARTS):
        try:
            return _compose_and_run()
        except BrokenProcessPool:
            print(f"fmtt: {KILLED}", file=sys.stderr)
            kept = [word for word in sys.argv[1:] if not word.startswith(("resume=", "hydra.sweep.dir="))]
            sys.argv[1:] = [*kept, "resume=true", f"hydra.sweep.dir={_sweeps.pop()}"]
            _stop_watching()
            _holds.close()
    return _compose_and_run()


def command() -> None:
    """The command ``fmtt``: :func:`main`, and an end that a logger which does not answer cannot hold up."""
    status = main()
    if silent:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    sys.exit(status)


def script(task: Callable[[], None]) -> int:
    """Run one of ``scripts/``; what the user got wrong is one line, and exit status 2."""
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")
    keep_freed_memory()
    try:
        task()
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        print(f"fmtt: {plain(error)}", file=sys.stderr)
        return WRONG_CONFIGURATION
    except KeyboardInterrupt:
        print("fmtt: interrupted", file=sys.stderr)
        return FAILED
    return DONE


@hydra.main(version_base="1.3", config_path=str(CONFIGS), config_name="config")
def _compose_and_run(config: DictConfig) -> float | None:
    """One run and its mean reward; a run that cannot be done says so in one line, and in a sweep the others go on."""
    from fmtt.run.execute import execute  # Lightning is slow to import, and a sweep that others run needs none
    from fmtt.run.resumable import FAILURES

    stop_like_ctrl_c()
    try:
        return execute(config)
    except KeyboardInterrupt as stop:
        if not in_a_job():
            raise
        print(f"fmtt: interrupted: {stop}", file=sys.stderr)
        raise SystemExit(FAILED) from None  # without a result, so that the sweep waits until the job goes on
    except FolderTakenError as error:
        _give_up(str(error), WRONG_CONFIGURATION, beside())
    except ConfigurationError as error:
        _give_up(str(error), WRONG_CONFIGURATION, run_dir())
    except (*FAILURES, OSError) as error:
        _give_up(one_line(error), FAILED, run_dir())
    except Exception as error:  # a fault of ours; in a sweep the others go on
        reason = f"{type(error).__name__}: {one_line(error)}"
        if HydraConfig.get().mode != RunMode.MULTIRUN:
            _leave(reason, FAILED, run_dir())
            raise
        traceback.print_exc()
        _give_up(reason, FAILED, run_dir())
    if config.fail_fast and HydraConfig.get().mode == RunMode.MULTIRUN:
        raise KeyboardInterrupt("fail_fast=true, and a run has failed; resume=true goes on")
    return None  # no value, which a sweeper that tunes takes for a failure


def run_dir() -> Path:
    """The folder of the run."""
    return Path(HydraConfig.get().runtime.output_dir)


def beside() -> Path | None:
    """Where a run of a sweep that has no folder of its own leaves its error; a single run needs none."""
    own = HydraConfig.get()
    return Path(own.sweep.dir) / f"refused-{own.job.num}" if own.mode == RunMode.MULTIRUN else None


def _give_up(reason: str, status: int, folder: Path | None) -> None:
    print(f"fmtt: {reason}", file=sys.stderr)
    if folder is not None:
        _leave(reason, status, folder)
    _statuses.append(status)


def _leave(reason: str, status: int, folder: Path) -> None:
    """In a folder, for whoever compares it with others; the first process of a run does that."""
    if rank() > 0:
        return
    with suppress(OSError):  # a disk that is full has been named already
        folder.mkdir(exist_ok=True)
        write_error(folder, status, reason)


class SweepSummary(Callback):
    """Around a multirun: its progress on a terminal; then ``summary.csv``, ``compare.html`` and what failed.

    A folder in use is refused, too.

    It is sent to the processes of the runs, so it holds nothing.
    """

    def on_run_start(self, config: DictConfig, config_name: str | None = None) -> None:
        """Before Hydra writes into the folder of a single run."""
        held = holder(Path(config.hydra.run.dir))
        if held and not config.get("resume") and rank() == 0:
            raise RefusedError(f"{held}; {INSTEAD}")

    def on_multirun_start(self, config: DictConfig, config_name: str | None = None) -> None:
        folder, launcher = Path(config.hydra.sweep.dir), str(config.hydra.launcher._target_)
        if config.get("fail_fast") and launcher.endswith((SLURM, LOCAL)):
            raise RefusedError("fail_fast=true: needs launcher=local or joblib; jobs of SLURM are stopped by scancel")
        together = config.hydra.sweeper.get("max_batch_size")
        if together is not None:
            try:
                whole_number("hydra.sweeper.max_batch_size", together, 1)
            except ValueError as error:
                raise RefusedError(str(error)) from error
        folder.mkdir(parents=True, exist_ok=True)
        try:
            _holds.enter_context(locked(folder))
        except ConfigurationError as error:
            raise RefusedError(str(error)) from error
        write_whole(folder / MULTIRUN, OmegaConf.to_yaml(config))  # names W&B's group; not every sweeper writes it
        _sweeps.append(folder)
        prepare(launcher)
        if sys.stderr.isatty():
            _watching.append(Progress(folder, size(config), sys.stderr))

    def on_job_end(self, config: DictConfig, job_return: JobReturn) -> None:
        if config.hydra.mode == RunMode.MULTIRUN:
            done = job_return.status == JobStatus.COMPLETED
            note(Path(config.hydra.sweep.dir), job_return.return_value if done else None)

    def on_multirun_end(self, config: DictConfig, config_name: str | None = None) -> None:
        _stop_watching()
        _summarise_what_there_is()


def _summarise_what_there_is() -> None:
    """The tables and pages of the sweep of this command, if it is one, which may have been interrupted."""
    from fmtt.report import summarise  # plotting libraries are slow to import

    while _sweeps:
        folder = _sweeps.pop()
        errors = (read_error(file.parent) for file in folder.rglob(ERROR))
        _statuses.extend(error[0] for error in errors if error)
        try:
            failures = summarise(folder)
        except OSError as error:
            _statuses.append(FAILED)
            print(f"fmtt: the sweep cannot be summarised: {error}", file=sys.stderr)
            continue
        if failures:
            print(f"fmtt: runs of this sweep that failed: {len(failures)}", *failures, sep="\nfmtt: ", file=sys.stderr)
        print(folder / COMPARISON)


def _stop_watching() -> None:
    while _watching:
        _watching.pop().close()
