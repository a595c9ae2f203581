"""The command line: Hydra composes, errors become one line, and the exit status says whose fault it was."""

from __future__ import annotations

import os
import re
import signal
import sys
import traceback
from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, suppress
from pathlib import Path

import hydra
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobStatus
from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import MarkedYAMLError

from fmtt.run import lines, new_folder
from fmtt.run.configs import CONFIGS
from fmtt.run.errors import ConfigurationError, one_line
from fmtt.run.last_folder import SWEEP_FLAGS, folder_to_resume
from fmtt.run.lock import locked
from fmtt.run.own_files import wrong_file
from fmtt.run.rank import NO_FOLDER, rank, silently
from fmtt.run.slurm import prepare, stop_like_ctrl_c
from fmtt.run.sweep_progress import Progress, note, size
from fmtt.run.words import wrong_word
from fmtt.run_folder import COMPARISON, ERROR, MULTIRUN, read_error, write_error
from fmtt.tracking.guarded import silent

RENAMED = {
    "budget.fewest": "budget.min_particles",
    "mode.drop": "mode.snr_drop",
    "mode.look_every": "mode.check_every",
    "mode.looks_back": "mode.final_checks",
}
UNREADABLE = (
    "LexerNoViableAltException",
    "mismatched input",
    "no viable alternative",
    "extraneous input",
    "token recog",
)
DONE, FAILED, WRONG_CONFIGURATION = 0, 1, 2
PLUGINS = {  # of Hydra, that our configurations name, and their packages
    "hydra/sweeper/optuna": "hydra-optuna-sweeper",
    "hydra/launcher/joblib": "hydra-joblib-launcher",
    "hydra/launcher/submitit_slurm": "hydra-submitit-launcher",
    "hydra/launcher/submitit_local": "hydra-submitit-launcher",
}
new_folder.register()
lines.register()
_statuses: list[int] = []  # of the runs of this command
_watching: list[Progress] = []  # the sweep of this command, on a terminal
_sweeps: list[Path] = []  # the folder of the sweep of this command, until it is summarised
_holds = ExitStack()  # that folder, which no other command may use meanwhile
KILLED = "a process of the sweep was killed, perhaps for lack of memory; the others go on"
RESTARTS = 10  # of a sweep whose processes are killed


class FolderInUseError(BaseException):
    """Another command works in the folder of the sweep. Hydra would go on after an exception of a callback."""


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
    except FolderInUseError as error:
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
    except ConfigurationError as error:
        _give_up(str(error), WRONG_CONFIGURATION)
    except (*FAILURES, OSError) as error:
        _give_up(one_line(error), FAILED)
    except Exception as error:  # a fault of ours; in a sweep the others go on
        reason = f"{type(error).__name__}: {one_line(error)}"
        if HydraConfig.get().mode != RunMode.MULTIRUN:
            _leave(reason, FAILED)
            raise
        traceback.print_exc()
        _give_up(reason, FAILED)
    if config.fail_fast and HydraConfig.get().mode == RunMode.MULTIRUN:
        raise KeyboardInterrupt("fail_fast=true, and a run has failed; resume=true goes on")
    return None  # no value, which a sweeper that tunes takes for a failure


def _give_up(reason: str, status: int) -> None:
    print(f"fmtt: {reason}", file=sys.stderr)
    _leave(reason, status)
    _statuses.append(status)


def _leave(reason: str, status: int) -> None:
    """In the run's folder, for whoever compares it with others; the first process of a run does that."""
    if rank() > 0:
        return
    with suppress(OSError):  # a disk that is full has been named already
        write_error(Path(HydraConfig.get().runtime.output_dir), status, reason)


class SweepSummary(Callback):
    """Around a multirun: its progress on a terminal; then ``summary.csv``, ``compare.html`` and what failed.

    It is sent to the processes of the runs, so it holds nothing.
    """

    def on_multirun_start(self, config: DictConfig, config_name: str | None = None) -> None:
        folder = Path(config.hydra.sweep.dir)
        folder.mkdir(parents=True, exist_ok=True)
        try:
            _holds.enter_context(locked(folder))
        except ConfigurationError as error:
            raise FolderInUseError(str(error)) from error
        OmegaConf.save(config, folder / MULTIRUN)  # by which W&B's group is named; not every sweeper writes it
        _sweeps.append(folder)
        prepare(str(config.hydra.launcher._target_))
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


def explain(error: Exception, overrides: list[str]) -> str:
    """One line for what Hydra could not compose: what was wrong and what is allowed."""
    text = plain(error)
    absent = next((plugin for plugin in PLUGINS if f"Could not find '{plugin}'" in text), None)
    if absent:
        return f"{absent} is a plugin of Hydra that is not installed: pip install {PLUGINS[absent]}"
    if text.startswith(UNREADABLE):
        word = text.partition(": ")[2].removesuffix(" ^")
        return f"{word} cannot be read; put its value in two pairs of quotes: '{word.partition('=')[0]}=\"...\"'"
    unknown = re.match(r"Could not override '([^']+)'", text)
    if unknown is None:
        return text
    if unknown[1] in RENAMED:
        return f"{unknown[1]} is now called {RENAMED[unknown[1]]}"
    parent, _, key = unknown[1].rpartition(".")
    allowed = _keys(parent, [o for o in overrides if not o.lstrip("+~").startswith(unknown[1]) and "=" in o])
    where = f" of '{parent}'" if parent else ""
    return f"there is no setting '{key}'{where}; allowed are {', '.join(allowed)}" if allowed else text


def plain(error: Exception) -> str:
    """The message on one line, without Hydra's remarks."""
    text = one_line(error).split(" Config search path:")[0].removeprefix("In 'config': ").split(" See https://")[0]
    return text.split(" full_key:")[0]


def _keys(parent: str, overrides: list[str]) -> list[str]:
    """The settings below ``parent`` in the configuration of the other overrides."""
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(CONFIGS), version_base="1.3"):
            config = compose("config", overrides=[o for o in overrides if not o.startswith(("-", "hydra"))])
    except (HydraException, OmegaConfBaseException):
        return []
    node = OmegaConf.select(config, parent) if parent else config
    return [str(key) for key in node if not str(key).startswith("_")] if isinstance(node, DictConfig) else []
