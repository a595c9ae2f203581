"""Execute a configuration: build, run with progress, track, and leave the artefacts of a run behind."""

from __future__ import annotations

import platform
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import torch
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from tqdm import tqdm

from fmtt import run_folder
from fmtt.api import Result, Run, finish
from fmtt.methods.loop import Loop, State
from fmtt.methods.trajectory import Sampler
from fmtt.report import read_showcase, write_artefacts
from fmtt.run import checkpoint as resume
from fmtt.run import metrics as results
from fmtt.run.build import Experiment, build
from fmtt.run.configurations import ConfigurationError
from fmtt.run.console import print_table
from fmtt.run.film import Film
from fmtt.smc.population import Population
from fmtt.tracking import Tracker

PACKAGES = ("torch", "torchvision", "lightning", "torchmetrics", "hydra-core", "omegaconf", "wandb", "numpy")


def execute(config: DictConfig) -> float:
    """Run what ``config`` says and write everything into Hydra's run folder; returns the mean reward (for sweepers).

    Raises:
        ConfigurationError: if the configuration is impossible.
        FloatingPointError: if a reward or a weight is not finite.
        KeyboardInterrupt: on Ctrl-C or SIGTERM, after leaving a checkpoint.
    """
    started = time.perf_counter()
    folder = Path(HydraConfig.get().runtime.output_dir)
    if config.resume and resume.finished(folder, config):
        print(f"{folder}: already done")
        return float(run_folder.read_metrics(folder)["reward/weighted_mean"])
    resume.forget(folder)
    experiment = build(config)
    resolved = OmegaConf.to_container(config, resolve=True)
    run_folder.write_config(folder, resolved)
    run_folder.write_environment(folder, environment(experiment))
    run, checkpoint = experiment.run, _checkpoint(config, folder) if config.resume else None
    earlier = checkpoint.parent if checkpoint else folder
    with torch.no_grad(), experiment.fabric.autocast(), Tracker(experiment.loggers, folder, earlier) as tracker:
        tracker.start(resolved)
        begun = time.perf_counter()
        run = run.tuned()
        state = _sample(run, config, folder, checkpoint, tracker)
        method = time.perf_counter() - begun
        base = None
        if experiment.baseline:
            base = baseline(experiment.baseline.loop, run.loop).last().population
        result = finish(run, state)
        network = run.meter.forward_time.seconds + run.meter.backward_time.seconds
        timing = results.Timing(time.perf_counter() - started, method, network, peak_memory(experiment.fabric.device))
        metrics = results.final_metrics(state, result, base, timing, run.mode, experiment.budget)
        metrics |= results.class_metrics(experiment, result, base) | results.exact_metrics(experiment)
        metrics |= results.statistic_metrics(experiment, result) | results.distance_metrics(experiment, result)
        save_samples(folder, result, state.population, base)
        run_folder.write_metrics(folder, metrics)
        if config.report:
            write_artefacts(folder)
            if tracker.loggers:
                tracker.show(read_showcase(folder))
        tracker.finish(metrics)
    for path in {checkpoint, resume.checkpoint_path(folder, config)} - {None}:
        path.unlink(missing_ok=True)
    print_table(metrics)
    print(folder / run_folder.REPORT if config.report else folder)
    return float(metrics["reward/weighted_mean"])  # type: ignore[arg-type]


def baseline(base: Loop, tilted: Loop) -> Loop:
    """The base model's loop, on the times of the tilted one if a pilot has placed them."""
    if isinstance(base, Sampler) and isinstance(tilted, Sampler):
        return replace(base, times=tilted.times)
    return base


def _sample(run: Run, config: DictConfig, folder: Path, checkpoint: Path | None, tracker: Tracker) -> State:
    """The last state of the run, which goes on from ``checkpoint`` if there is one.

    The history is tracked and written, and an interruption leaves a checkpoint.
    """
    path = resume.checkpoint_path(folder, config)
    reached, history = _restore(run, checkpoint) if checkpoint else (None, [])
    for row in history:
        tracker.log(row, int(row["step"]))
    film = Film(run.loop.steps) if config.report else None
    try:
        for state in _progress(run, reached):
            reached = state
            if film:
                film.see(state)
            if state.step > len(history):
                history.append(results.history_row(state, run.meter.forward))
                tracker.log(history[-1], state.step)
            if config.checkpoint.every and state.step and state.step % config.checkpoint.every == 0:
                resume.save(path, state, run, history)
    except KeyboardInterrupt:
        if reached is None:
            raise
        resume.save(path, reached, run, history)
        raise KeyboardInterrupt(f"checkpoint in {path}; the same command with resume=true goes on from it") from None
    finally:
        run_folder.write_history(folder, history)
    if film:
        film.write(folder)
    return reached


def _checkpoint(config: DictConfig, folder: Path) -> Path | None:
    """What an earlier attempt at the same configuration left, wherever its folder is; says so if there is nothing."""
    hydra = HydraConfig.get()
    roots = [folder, Path(hydra.runtime.cwd) / "outputs", Path(hydra.run.dir).parent, Path(hydra.sweep.dir).parent]
    path = resume.find_checkpoint(roots, config)
    if path is None:
        print("fmtt: no checkpoint of this configuration; starting from the beginning", file=sys.stderr)
    return path


def _restore(run: Run, checkpoint: Path) -> tuple[State, list[dict[str, float]]]:
    try:
        return resume.load(checkpoint, run)
    except ValueError as error:
        raise ConfigurationError(str(error)) from error


def _progress(run: Run, state: State | None) -> Iterator[State]:
    """The states of a run, with a bar on stderr (reward and ESS in it) when that is a terminal.

    A sweep has a line of its own there.
    """
    silent = not sys.stderr.isatty() or HydraConfig.get().mode == RunMode.MULTIRUN
    with tqdm(total=run.loop.steps, initial=state.step if state else 0, disable=silent, unit="step") as bar:
        for current in run.loop.run(state):
            if not bar.disable:
                reward, ess = current.population.tilt.reward.mean().item(), current.ess.mean().item()
                bar.set_postfix(reward=f"{reward:.3f}", ess=f"{ess:.2f}", refresh=False)
                bar.update(current.step - bar.n)
            yield current


def save_samples(folder: Path, result: Result, population: Population, base: Population | None) -> None:
    """The population at the end and, from the same noise, the base model's."""
    tensors = {
        "samples": result.samples.float(),
        "log_weights": result.log_weights,
        "rewards": result.rewards,
        "selected": result.selected,
        "ancestors": population.ancestors,
    }
    if base is not None:
        tensors |= {"base": base.x.float(), "base_rewards": base.tilt.reward}
    run_folder.write_samples(folder, {name: value.cpu().numpy() for name, value in tensors.items()})


def environment(experiment: Experiment) -> dict[str, object]:
    """Versions, git commit and device of a run."""
    device = experiment.fabric.device
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
