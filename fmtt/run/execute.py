"""Execute a configuration: build, run with progress, track, and leave the artefacts of a run behind."""

from __future__ import annotations

import math
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from importlib.metadata import version
from pathlib import Path

import torch
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from lightning.fabric import Fabric
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from tqdm import tqdm

from fmtt import run_folder
from fmtt.api import Run, finish
from fmtt.flow.batches import Batches
from fmtt.flow.faults import CallError
from fmtt.flow.precision import mixed
from fmtt.methods.loop import Info, State, totals
from fmtt.methods.result import Result
from fmtt.report import read_showcase, write_artefacts
from fmtt.run import checkpoint as resume
from fmtt.run import metrics as results
from fmtt.run.allocator import keep_freed_memory
from fmtt.run.alone import done_alone
from fmtt.run.build import build
from fmtt.run.console import print_parts, print_table
from fmtt.run.errors import ConfigurationError, one_line
from fmtt.run.film import Film
from fmtt.run.lock import FolderTakenError, abandoned, locked
from fmtt.run.outcome import Outcome, Timing
from fmtt.run.processes import Together, launched
from fmtt.run.reached import Mark, Reached
from fmtt.run.resumable import resumable
from fmtt.run.scalars import check_scalars
from fmtt.run.slurm import in_a_job, warned
from fmtt.run.verdicts import returned_rows, verdicts_by_prompt
from fmtt.smc.totals import Totals
from fmtt.tracking import Tracker

PACKAGES = ("torch", "torchvision", "lightning", "torchmetrics", "hydra-core", "omegaconf", "wandb", "numpy")


def execute(config: DictConfig) -> float:
    """Run what ``config`` says and write everything into Hydra's run folder; returns the mean reward (for sweepers).

    Raises:
        ConfigurationError: if the configuration is impossible, or another process works in the folder.
        FloatingPointError: if a reward or a weight is not finite.
        CallError: if a model or a reward raises, or returns what it must not.
        UnavailableError: if a judge behind a network fails.
        OutOfMemoryError: if a single sample does not fit into memory.
        KilledError: if the process of a run was killed twice.
        KeyboardInterrupt: on Ctrl-C, SIGTERM or SIGHUP.

    Whatever ends a run too early leaves a checkpoint.
    """
    try:
        check_scalars(config)
    except (OmegaConfBaseException, ValueError, TypeError) as error:
        raise ConfigurationError(one_line(error)) from error
    keep_freed_memory()
    fabric = launched(config.device, config.devices)
    if fabric.global_rank > 0:
        return follow(config, Together(fabric))
    folder = Path(HydraConfig.get().runtime.output_dir)
    if HydraConfig.get().mode == RunMode.MULTIRUN and not in_a_job() and abandoned(folder):
        return done_alone(folder)
    with locked(folder, wait=config.resume):
        refuse_shared(folder, config)
        known = config.resume and done(folder, config)
        checkpoint = _checkpoint(config, folder) if config.resume and not known else None
        Together(fabric).told((known, checkpoint))
        if known:
            return float(run_folder.read_metrics(folder)["reward/weighted_mean"])  # type: ignore[arg-type]
        return _execute(config, folder, fabric, checkpoint)


def follow(config: DictConfig, together: Together) -> float:
    """Take part in a run whose first process is another one, and leave nothing behind."""
    known, checkpoint = together.told(None)
    if known:
        return math.nan
    own = OmegaConf.merge(config, {"logger": None, "report": False, "checkpoint": {"every": 0, "seconds": 0}})
    with tempfile.TemporaryDirectory() as name:
        return _execute(own, Path(name), together.fabric, checkpoint)


def refuse_shared(folder: Path, config: DictConfig) -> None:
    """FolderTakenError if another run of this sweep has the folder; a sweep writes its record when it starts."""
    hydra = HydraConfig.get()
    if hydra.mode != RunMode.MULTIRUN:
        return
    record, made = Path(hydra.sweep.dir) / run_folder.MULTIRUN, folder / run_folder.CONFIG
    if not (record.is_file() and made.is_file()):
        return
    newer = made.stat().st_mtime_ns > record.stat().st_mtime_ns
    if newer and resume.digest(OmegaConf.load(made)) != resume.digest(config):
        problem = "another run of this sweep has this folder; put ${hydra.job.num} into the name"
        raise FolderTakenError(f"hydra.sweep.subdir={hydra.sweep.subdir}: {problem}")


def done(folder: Path, config: DictConfig) -> bool:
    """Whether the run is done already. If only its pictures or its page are missing or damaged, they are made again."""
    bad = run_folder.damaged(folder, resume.digest(config), config.report)
    if bad is None or not all(map(run_folder.drawn, bad)):
        return False
    if bad:
        write_artefacts(folder)
        run_folder.write_manifest(folder, resume.digest(config))
    print(f"{folder}: already done{'; its pictures and its page were made again' if bad else ''}")
    return True


def _execute(config: DictConfig, folder: Path, fabric: Fabric, checkpoint: Path | None) -> float:
    started = time.perf_counter()
    resume.forget(folder)
    job = Together(fabric).agreed(lambda: build(config, fabric=fabric))
    resolved = OmegaConf.to_container(config, resolve=True)
    run_folder.write_config(folder, resolved)
    run_folder.write_environment(folder, environment(job.fabric.device))
    own = resume.checkpoint_path(folder, config)
    with (
        torch.no_grad(),
        mixed(config.precision, job.fabric.device),
        Tracker(job.loggers, folder, checkpoint.parent if checkpoint else folder) as tracker,
    ):
        tracker.start(resolved)
        begun = time.perf_counter()
        run = job.run.tuned()
        with resumable(run, own, checkpoint) as reached:
            state, summed = _sample(run, config, folder, reached, tracker)
            method = time.perf_counter() - begun
            resume.save(own, reached)  # from here on nothing that fails costs more than itself
            result = finish(run, state)
            save_samples(folder, result, None)
            base = base_result(run) if job.baseline else None
            outcome = Outcome(result, summed, base, state.step)
            said = verdicts_by_prompt(run, outcome, job.held_out)
            elapsed = time.perf_counter() - started
            timing = Timing(elapsed, method, run.meter.seconds, peak_memory(job.fabric.device))
            parts = results.metrics_by_prompt(run, outcome, said)
            metrics = results.final_metrics(run, outcome, parts, timing, job.budget)
            if base is not None:
                save_samples(folder, result, base)
            run_folder.write_returned(folder, returned_rows(outcome, said, run.problem.model.flow.evaluator))
            if job.prompts is not None:
                run_folder.write_prompts(folder, job.prompts.texts, job.prompts.categories, parts)
            run_folder.write_metrics(folder, metrics)
            if config.report:
                write_artefacts(folder)
                if tracker.loggers:
                    tracker.show(read_showcase(folder))
            tracker.finish(metrics if job.prompts is None else metrics | results.of_prompts(job.prompts, parts))
            run_folder.write_manifest(folder, resume.digest(config))
    for path in {checkpoint, own} - {None}:
        path.unlink(missing_ok=True)
    print_table(metrics)
    if job.prompts is not None:
        categories = results.by_category(job.prompts, parts)
        named = categories or dict(zip(job.prompts.texts, parts, strict=True))
        print_parts(named, "category" if categories else "prompt")
    print(folder / run_folder.REPORT if config.report else folder)
    return float(metrics["reward/weighted_mean"])  # type: ignore[arg-type]


def base_result(run: Run) -> Result:
    """What the base model gives from the same noise."""
    base = run.baseline()
    return finish(base, base.loop.last())


def _sample(run: Run, config: DictConfig, folder: Path, reached: Reached, tracker: Tracker) -> tuple[State, Totals]:
    """The last state of the run, which goes on from ``reached``, and its diagnostics.

    The history is tracked and written, and ``reached`` follows every step.
    """
    due = resume.Due(config.checkpoint.every, config.checkpoint.seconds)
    for row in reached.history:
        tracker.log(row, int(row["step"]))
    decode = partial(run.problem.model.decoded, batches=Batches())
    film = Film(run.loop.steps, decode, reached.frames) if config.report else None
    groups = results.groups_of_prompts(run)
    try:
        with warned(due.soon):
            for state, info in _progress(run, reached):
                summed = totals(info, reached.mark.totals)
                if film:
                    film.see(state)
                if state.step:
                    reached.history.append(results.history_row(run, groups, state, info, summed))
                counts = dict(run.meter.counts)
                reached.mark = Mark(state, summed, counts, len(reached.history), len(reached.frames))
                if state.step:
                    tracker.log(reached.history[-1], state.step)
                if state.step and due.now(state.step):
                    resume.save(resume.checkpoint_path(folder, config), reached)
    except CallError as error:
        step = 0 if reached.state is None else reached.state.step + 1
        raise CallError(f"{error}, at step {step}") from error
    finally:
        run_folder.write_history(folder, reached.history[: reached.mark.rows])
    assert reached.mark.state is not None and reached.mark.totals is not None
    if film:
        film.write(folder)
    return reached.mark.state, reached.mark.totals


def _checkpoint(config: DictConfig, folder: Path) -> Path | None:
    """What an earlier attempt at the same configuration left, wherever its folder is; says so if there is nothing."""
    hydra = HydraConfig.get()
    own = hydra.sweep if hydra.mode == RunMode.MULTIRUN else hydra.run
    roots = [folder, Path(hydra.runtime.cwd) / "outputs", Path(own.dir).parent]
    path = resume.find_checkpoint(roots, config)
    if path is None:
        print("fmtt: note: no checkpoint of this configuration; starting from the beginning", file=sys.stderr)
    return path


def _progress(run: Run, reached: Reached) -> Iterator[tuple[State, Info]]:
    """The states of a run, with a bar on stderr (reward and ESS in it) when that is a terminal.

    The numbers are those of the history, so that the bar never waits for the device. A sweep has a line of its own.
    """
    silent = not sys.stderr.isatty() or HydraConfig.get().mode == RunMode.MULTIRUN
    start = reached.state.step if reached.state else 0
    with tqdm(total=run.loop.steps, initial=start, disable=silent, unit="step") as bar:
        for state, info in run.loop.run(reached.state):
            yield state, info
            if reached.history:
                reward, ess = (reached.history[-1][name] for name in ("reward/mean", "ess"))
                bar.set_postfix(reward=f"{reward:.3f}", ess=f"{ess:.2f}", refresh=False)
            bar.update(state.step - bar.n)


def save_samples(folder: Path, result: Result, base: Result | None) -> None:
    """The population at the end and, from the same noise, the base model's, decoded too where there is a decoder."""
    tensors = {
        "samples": result.samples.float(),
        "log_weights": result.log_weights,
        "rewards": result.rewards,
        "selected": result.selected,
        "ancestors": result.ancestors,
    }
    if result.decoded is not result.samples:
        tensors["decoded"] = result.decoded.float()
    if result.prompts is not None:
        tensors["prompt"] = result.prompt
    if base is not None:
        tensors |= {"base": base.samples.float(), "base_rewards": base.rewards}
        if base.decoded is not base.samples:
            tensors["base_decoded"] = base.decoded.float()
    run_folder.write_samples(folder, {name: value.cpu().numpy() for name, value in tensors.items()})


def environment(device: torch.device) -> dict[str, object]:
    """Versions, git commit and device of a run."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{device.type} ({platform.machine()})"
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: version(name) for name in PACKAGES},
        "git_commit": git_commit(),
        "device": name,
        "threads": torch.get_num_threads(),
    }


def git_commit() -> str | None:
    """The commit of the checkout that this package runs from, if it is one."""
    command = ["git", "rev-parse", "HEAD"]
    try:
        done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def peak_memory(device: torch.device) -> float:
    """The largest memory so far, in MiB: of the device for CUDA, else of the process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
