"""Checkpoints inside a trajectory: the state of the loop in one file that is named after the configuration."""

from __future__ import annotations

import hashlib
from dataclasses import fields, replace
from pathlib import Path

import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from fmtt.api import Run
from fmtt.methods.loop import State
from fmtt.run_folder import CONFIG, ERROR, METRICS, checkpoint_name
from fmtt.smc.population import Population
from fmtt.smc.potentials import PathValue
from fmtt.smc.totals import Totals
from fmtt.tilt.tilt import TiltValue

IRRELEVANT = ("resume", "checkpoint", "logger", "launcher", "report")  # do not change the result


def digest(config: DictConfig) -> str:
    """A short name of everything in the configuration that the result depends on."""
    settings = OmegaConf.to_container(config, resolve=True)
    relevant = sorted((key, value) for key, value in settings.items() if key not in IRRELEVANT)
    return hashlib.sha256(repr(relevant).encode()).hexdigest()[:16]


def finished(folder: Path, config: DictConfig) -> bool:
    """Whether ``folder`` holds the result of the same configuration, and nothing failed after it was written."""
    made = folder / CONFIG
    if not (made.is_file() and (folder / METRICS).is_file()) or (folder / ERROR).is_file():
        return False
    return digest(OmegaConf.load(made)) == digest(config)


def forget(folder: Path) -> None:
    """Take away how an earlier attempt in ``folder`` ended, before its configuration is written over."""
    for name in (METRICS, ERROR):
        (folder / name).unlink(missing_ok=True)


def checkpoint_path(folder: Path, config: DictConfig) -> Path:
    """Where the run in ``folder`` keeps its checkpoint."""
    return folder / checkpoint_name(digest(config))


def find_checkpoint(roots: list[Path], config: DictConfig) -> Path | None:
    """The newest checkpoint that the same configuration left anywhere below ``roots``."""
    name = checkpoint_name(digest(config))
    found = {path for root in roots if root.is_dir() for path in root.rglob(name)}
    return max(found, key=lambda path: path.stat().st_mtime, default=None)


def save(path: Path, state: State, totals: Totals, run: Run, history: list[dict[str, float]]) -> None:
    """Write everything needed to go on; complete or not at all."""
    population = state.population
    payload = {
        "state": _plain(replace(state, population=None)),
        "population": _plain(replace(population, tilt=None, path=None)),
        "tilt": population.tilt._asdict(),
        "path": population.path._asdict(),
        "totals": _plain(totals),
        "meter": run.meter.counts,
        "history": history,
    }
    partial = path.with_suffix(".partial")
    torch.save(payload, partial)
    partial.replace(path)


def load(path: Path, run: Run) -> tuple[State, Totals, list[dict[str, float]]]:
    """The state, the diagnostics and the history in ``path``; the counts are entered in the run's meter.

    Raises:
        ValueError: if the file is damaged.
    """
    try:
        payload = torch.load(path, weights_only=True, map_location=run.meter.device)
        tilt, path_value = TiltValue(**payload["tilt"]), PathValue(**payload["path"])
        population = Population(tilt=tilt, path=path_value, **payload["population"])
        totals = Totals(**payload["totals"])
        state = run.loop.state(population=population, **payload["state"])
    except Exception as error:
        raise ValueError(f"checkpoint '{path}' is damaged; delete it, or run without resume=true") from error
    run.meter.counts = payload["meter"]
    return state, totals, payload["history"]


def _plain(record: State | Population | Totals) -> dict[str, Tensor | float | int]:
    values = {field.name: getattr(record, field.name) for field in fields(record)}
    return {name: value for name, value in values.items() if value is not None}
