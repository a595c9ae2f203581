"""One Tracker over Weights & Biases, CSV and TensorBoard.

The CSV and TensorBoard loggers are Lightning's. Lightning's ``WandbLogger`` would put ``trainer/global_step`` under
every curve and never finish the run, so W&B is called itself. Each heavy library is imported when its logger starts.
"""

from __future__ import annotations

import math
import netrc
import os
import sys
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol
from urllib.parse import urlsplit

from omegaconf import OmegaConf

from fmtt.validation import choice

Metrics = Mapping[str, float | list[float] | None]

MODES = ("online", "offline", "disabled", "shared", "dryrun", "run")  # the last two are old names in W&B
HOSTS = ("api.wandb.ai", "api.forge.coreweave.com")  # W&B's own servers; the second is the default since wandb 0.31
DESCRIBED = ("model", "lookahead", "reward", "mode")  # the config groups that name a run


class Logger(Protocol):
    """One place where a run is recorded. The calls come in this order; ``close`` comes whatever happened before it."""

    def start(self, config: dict[str, Any], folder: Path) -> None:
        """Begin, with the resolved configuration; files go below ``folder``."""

    def log(self, row: Mapping[str, float], step: int) -> None:
        """One row of the history."""

    def images(self, paths: Mapping[str, Path]) -> None:
        """Pictures by name."""

    def finish(self, metrics: Metrics) -> None:
        """The results of the run."""

    def close(self, failed: bool) -> None:
        """Write what is left and let go; also called if ``start`` raised."""


class Tracker:
    """Several loggers as one; a context manager, so that a crash still closes them, W&B with a failing exit code.

    Args:
        loggers: any number of them, none included.
        folder: the run folder.

    Example:
        >>> with Tracker([], Path(".")) as tracker:
        ...     tracker.start({"seed": 0})
        ...     tracker.log({"t": 0.0, "reward/mean": -1.0}, step=0)
        ...     tracker.finish({"reward/mean": -1.0})
    """

    def __init__(self, loggers: Iterable[Logger], folder: Path):
        self.loggers, self.folder = tuple(loggers), Path(folder)

    def __enter__(self) -> Tracker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with ExitStack() as stack:  # one that fails to close must not keep the others open
            for logger in self.loggers:
                stack.callback(logger.close, kind is not None)

    def start(self, config: dict[str, Any]) -> None:
        """Begin with the resolved configuration as hyperparameters."""
        for logger in self.loggers:
            logger.start(config, self.folder)

    def log(self, row: Mapping[str, float], step: int) -> None:
        """One row of the history: ``t``, ``reward/mean``, ``ess``, ``log_z``, ..., all numbers."""
        for logger in self.loggers:
            logger.log(row, step)

    def images(self, paths: Mapping[str, Path]) -> None:
        """Pictures by name, PNG files."""
        for logger in self.loggers:
            logger.images(paths)

    def finish(self, metrics: Metrics) -> None:
        """The results: numbers, or lists with one number per group."""
        for logger in self.loggers:
            logger.finish(metrics)


class Csv:
    """Lightning's CSVLogger in ``<folder>/csv``; results end the table in columns ``final/<name>``."""

    def start(self, config: dict[str, Any], folder: Path) -> None:
        from lightning.pytorch.loggers import CSVLogger

        for old in ("metrics.csv", "hparams.yaml"):  # of a run that is being resumed; it is logged again
            (folder / "csv" / old).unlink(missing_ok=True)
        self._logger = CSVLogger(folder, name="", version="csv")
        self._logger.log_hyperparams(config)
        self._last = 0

    def log(self, row: Mapping[str, float], step: int) -> None:
        self._logger.log_metrics(dict(row), step)
        self._last = step

    def images(self, paths: Mapping[str, Path]) -> None:
        """Nothing: a table holds no pictures, and they lie in the run folder."""

    def finish(self, metrics: Metrics) -> None:
        self._logger.log_metrics({f"final/{name}": value for name, value in scalars(metrics).items()}, self._last)

    def close(self, failed: bool) -> None:
        if hasattr(self, "_logger"):
            self._logger.save()


class TensorBoard:
    """Lightning's TensorBoardLogger in ``<folder>/tensorboard``; results go to the HPARAMS tab as ``final/<name>``."""

    def start(self, config: dict[str, Any], folder: Path) -> None:
        from lightning.pytorch.loggers import TensorBoardLogger

        for old in (folder / "tensorboard").glob("events.out.tfevents.*"):
            old.unlink()  # of a run that is being resumed; it is logged again
        self._logger = TensorBoardLogger(folder, name="", version="tensorboard", default_hp_metric=False)
        self._logger.log_hyperparams(config)
        self._config, self._last = config, 0

    def log(self, row: Mapping[str, float], step: int) -> None:
        self._logger.log_metrics(dict(row), step)
        self._last = step

    def images(self, paths: Mapping[str, Path]) -> None:
        import numpy as np
        from PIL import Image

        for name, path in paths.items():
            with Image.open(path) as picture:
                pixels = np.asarray(picture.convert("RGB"))
            self._logger.experiment.add_image(name, pixels, self._last, dataformats="HWC")

    def finish(self, metrics: Metrics) -> None:
        results = {f"final/{name}": value for name, value in scalars(metrics).items()}
        self._logger.log_hyperparams(self._config, results, self._last)

    def close(self, failed: bool) -> None:
        if hasattr(self, "_logger"):
            self._logger.save()
            self._logger.finalize("failed" if failed else "success")


class Wandb:
    """A W&B run in ``<folder>/wandb`` with the sampling time ``t`` under every curve.

    Args:
        project, job_type: as in W&B.
        group: by default the name of the sweep's folder, if the run belongs to a sweep.
        tags: added to the names of the model, look-ahead, reward and mode.
        mode: ``online``, ``offline`` or ``disabled``; by default ``WANDB_MODE``, else online if logged in. A run that
            cannot go online within ten seconds is recorded offline.
        resume: go on with the W&B run that lies in the folder, if there is one.
    """

    def __init__(
        self,
        project: str = "fmtt",
        job_type: str = "sample",
        group: str | None = None,
        tags: Iterable[str] = (),
        mode: str | None = None,
        resume: bool = False,
    ):
        mode = mode or os.environ.get("WANDB_MODE") or ("online" if logged_in() else "offline")
        self.project, self.job_type, self.group = project, job_type, group
        self.tags, self.mode, self.resume = tuple(tags), choice("logger.wandb.mode", mode, MODES), resume

    def start(self, config: dict[str, Any], folder: Path) -> None:
        os.environ.setdefault("WANDB_SILENT", "true")
        if self.mode != "online":
            os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # otherwise it calls home even when offline
        import wandb

        chosen = hydra_choices(folder)
        arguments: dict[str, Any] = {
            "project": self.project,
            "dir": folder,
            "name": run_name(folder),
            "group": self.group or sweep_name(folder),
            "job_type": self.job_type,
            "tags": [*self.tags, *(chosen[group] for group in DESCRIBED if group in chosen)],
            "config": {**config, "choices": chosen},
            "id": run_id(folder) if self.resume else None,
            "resume": "allow" if self.resume else None,
        }
        settings = wandb.Settings(console="off", init_timeout=10)  # the progress bar would fill W&B's console log
        try:
            self._run = wandb.init(mode=self.mode, settings=settings, **arguments)  # type: ignore[arg-type]
        except wandb.Error as error:
            reason = str(error).splitlines()[0]
            print(f"fmtt: W&B cannot be reached, so the run is recorded offline: {reason}", file=sys.stderr)
            self._run = wandb.init(mode="offline", settings=settings, **arguments)
        if self._run.url:
            print(f"fmtt: W&B shows this run at {self._run.url}", file=sys.stderr)
        self._run.define_metric("t")
        self._axis_of: set[str] = {"t"}

    def log(self, row: Mapping[str, float], step: int) -> None:
        for name in row.keys() - self._axis_of:
            self._run.define_metric(name, step_metric="t")
        self._axis_of |= row.keys()
        self._run.log(dict(row), step=step)

    def images(self, paths: Mapping[str, Path]) -> None:
        import wandb

        self._run.log({name: wandb.Image(str(path)) for name, path in paths.items()})

    def finish(self, metrics: Metrics) -> None:
        self._run.summary.update(dict(metrics))

    def close(self, failed: bool) -> None:
        if hasattr(self, "_run"):
            self._run.finish(exit_code=int(failed))


def scalars(metrics: Metrics) -> dict[str, float]:
    """The numbers among the results; NaN for those that are None, which JSON writes for it."""
    numbers = {name: math.nan if value is None else value for name, value in metrics.items()}
    return {name: float(value) for name, value in numbers.items() if isinstance(value, int | float)}


def logged_in() -> bool:
    """Whether this user has a key for W&B, in the environment or in the netrc file; nothing is sent to find out."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    base = os.environ.get("WANDB_BASE_URL")
    hosts = {urlsplit(base).hostname} if base else set(HOSTS)
    try:
        return not hosts.isdisjoint(netrc.netrc(os.environ.get("NETRC")).hosts)
    except (OSError, netrc.NetrcParseError):
        return False


def hydra_choices(folder: Path) -> dict[str, str]:
    """What was chosen in each config group, such as ``{"mode": "search"}``, from Hydra's record of the run."""
    record = folder / ".hydra" / "hydra.yaml"
    if not record.is_file():
        return {}
    chosen = OmegaConf.load(record).hydra.runtime.choices
    return {group: str(choice) for group, choice in chosen.items() if choice and not group.startswith("hydra/")}


def run_name(folder: Path) -> str:
    """What the user typed, which tells runs apart, or else the folder's name."""
    record = folder / ".hydra" / "overrides.yaml"
    words = list(OmegaConf.load(record)) if record.is_file() else []
    return " ".join(words)[:128] or folder.resolve().name  # W&B refuses longer names


def sweep_name(folder: Path) -> str | None:
    """The name of the sweep that the run belongs to; Hydra leaves ``multirun.yaml`` in the sweep's folder."""
    sweep = next((parent for parent in folder.resolve().parents if (parent / "multirun.yaml").is_file()), None)
    return None if sweep is None else "/".join(sweep.parts[-2:])


def run_id(folder: Path) -> str | None:
    """The W&B id of the last run recorded in the folder."""
    records = sorted((folder / "wandb").glob("*run-*/run-*.wandb"), key=lambda record: record.stat().st_mtime)
    return records[-1].stem.removeprefix("run-") if records else None
