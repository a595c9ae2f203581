"""Checkpoints inside a trajectory: the state of the loop in one file that is named after the configuration.

The file begins with the hash of what follows, so that damage is seen.
"""

from __future__ import annotations

import hashlib
import io
import time
from dataclasses import fields, replace
from pathlib import Path

import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from fmtt.api import Run
from fmtt.files import write_whole
from fmtt.methods.loop import State
from fmtt.models.checkpoints import fingerprints
from fmtt.run.errors import ConfigurationError
from fmtt.run.reached import Mark, Reached
from fmtt.run_folder import ERROR, MANIFEST, METRICS, checkpoint_name
from fmtt.smc.population import Population
from fmtt.smc.potentials import PathValue
from fmtt.smc.totals import Totals
from fmtt.tilt.tilt import TiltValue

HASH = hashlib.sha256().digest_size
IRRELEVANT = (
    "devices",
    "resume",
    "checkpoint",
    "logger",
    "launcher",
    "report",
    "trust",
    "fail_fast",
)  # do not change the result
LATER = {"draws": "host"}  # came later; with these values a run is what it was before, and still counts as done


class Due:
    """When a checkpoint is due: every so many steps, and every so many seconds; 0 for not at all.

    Args:
        every: steps.
        seconds: since the last one.
    """

    def __init__(self, every: int, seconds: float):
        self.every, self.seconds, self.last, self.hurry = every, seconds, time.monotonic(), False

    def soon(self) -> None:
        """Let one be due after the step that is made now."""
        self.hurry = True

    def now(self, step: int) -> bool:
        """Whether one is due after ``step`` steps."""
        late = self.seconds > 0 and time.monotonic() - self.last >= self.seconds
        if not (self.hurry or late or (self.every > 0 and step % self.every == 0)):
            return False
        self.last, self.hurry = time.monotonic(), False
        return True


def digest(config: DictConfig) -> str:
    """A short name of everything in the configuration that the result depends on."""
    settings = OmegaConf.to_container(config, resolve=True)
    told = {key: value for key, value in settings.items() if key not in IRRELEVANT}
    relevant = sorted((key, value) for key, value in told.items() if (key, value) not in LATER.items())
    return hashlib.sha256(repr(relevant).encode()).hexdigest()[:16]


def forget(folder: Path) -> None:
    """Take away how an earlier attempt in ``folder`` ended, before its configuration is written over."""
    for name in (MANIFEST, METRICS, ERROR):
        (folder / name).unlink(missing_ok=True)
    for partial in folder.rglob(".partial-*"):  # of a process that was killed while it wrote
        partial.unlink(missing_ok=True)


def checkpoint_path(folder: Path, config: DictConfig) -> Path:
    """Where the run in ``folder`` keeps its checkpoint."""
    return folder / checkpoint_name(digest(config))


def find_checkpoint(roots: list[Path], config: DictConfig) -> Path | None:
    """The newest checkpoint that the same configuration left anywhere below ``roots``."""
    name = checkpoint_name(digest(config))
    found = {path for root in roots if root.is_dir() for path in root.rglob(name)}
    return max(found, key=lambda path: path.stat().st_mtime, default=None)


def save(path: Path, reached: Reached) -> None:
    """Write everything needed to go on; complete or not at all."""
    state, totals, counts, rows, frames = reached.mark
    assert state is not None and totals is not None
    population = state.population
    payload = {
        "state": _plain(replace(state, population=None)),
        "population": _plain(replace(population, tilt=None, path=None)),
        "tilt": population.tilt._asdict(),
        "path": population.path._asdict(),
        "totals": _plain(totals),
        "meter": dict(counts),
        "history": reached.history[:rows],
        "frames": reached.frames[:frames],
        "weights": dict(fingerprints),
    }
    content = io.BytesIO()
    torch.save(payload, content)
    write_whole(path, hashlib.sha256(content.getbuffer()).digest() + content.getvalue())


def load(path: Path, run: Run) -> Reached:
    """What ``path`` holds; the counts are entered in the run's meter.

    Raises:
        ConfigurationError: if the file is damaged, or the weights of the model have changed since.
    """
    try:
        content = path.read_bytes()
        if hashlib.sha256(content[HASH:]).digest() != content[:HASH]:
            raise ValueError("its content has another hash")
        payload = torch.load(io.BytesIO(content[HASH:]), weights_only=True, map_location=run.meter.device)
        tilt, path_value = TiltValue(**payload["tilt"]), PathValue(**payload["path"])
        population = Population(tilt=tilt, path=path_value, **payload["population"])
        totals = Totals(**payload["totals"])
        state = run.loop.state(population=population, **payload["state"])
    except Exception as error:
        raise ConfigurationError(f"checkpoint '{path}' is damaged; delete it, or run without resume=true") from error
    changed = [file for file, known in payload["weights"].items() if fingerprints.get(file, known) != known]
    if changed:
        raise ConfigurationError(f"the weights in {changed[0]} are others than at the checkpoint '{path}'")
    run.meter.counts = payload["meter"]
    history, frames = payload["history"], payload["frames"]
    return Reached(Mark(state, totals, dict(run.meter.counts), len(history), len(frames)), history, frames)


def _plain(record: State | Population | Totals) -> dict[str, Tensor | float | int]:
    values = {field.name: getattr(record, field.name) for field in fields(record)}
    return {name: value for name, value in values.items() if value is not None}
