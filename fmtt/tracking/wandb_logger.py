"""Weights & Biases.

W&B is called directly, because Lightning's ``WandbLogger`` would put ``trainer/global_step`` under every curve and
never finish the run.
"""

from __future__ import annotations

import netrc
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fmtt.checks import choice
from fmtt.run_folder import Metrics
from fmtt.tracking.goals import WORST, goals
from fmtt.tracking.hydra_records import DESCRIBED, hydra_choices, run_name, sweep_name
from fmtt.tracking.showcase import Showcase

MODES = ("online", "offline", "disabled", "shared", "dryrun", "run")  # the last two are old names in W&B
HOSTS = ("api.wandb.ai", "api.forge.coreweave.com")  # W&B's own servers; the second is the default since wandb 0.31


class Wandb:
    """A W&B run in ``<folder>/wandb`` with the sampling time ``t`` under every curve and every frame.

    The better side of each result is in the config as ``goals``, since W&B's ``define_metric`` no longer has it.

    Args:
        project, job_type: as in W&B.
        group: by default the name of the sweep's folder, if the run belongs to a sweep.
        tags: added to the names of the model, look-ahead, reward and mode.
        mode: ``online``, ``offline`` or ``disabled``; by default ``WANDB_MODE``, else online if logged in. A run that
            cannot go online within ten seconds is recorded offline.
        resume: continue the W&B run of the attempt that is resumed, if there is one.
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
        server = os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")
        if urlsplit(server).scheme not in ("http", "https") or not urlsplit(server).netloc:
            raise ValueError(f"WANDB_BASE_URL={server}: must be an address such as https://wandb.example.org")
        mode = mode or os.environ.get("WANDB_MODE") or ("online" if logged_in() else "offline")
        self.project, self.job_type, self.group = project, job_type, group
        self.tags, self.mode, self.resume = tuple(tags), choice("logger.wandb.mode", mode, MODES), resume

    def start(self, config: dict[str, Any], folder: Path, earlier: Path) -> None:
        os.environ.setdefault("WANDB_SILENT", "true")
        if self.mode != "online":
            os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # otherwise it contacts W&B even when offline
        import wandb

        chosen = hydra_choices(folder)
        arguments: dict[str, Any] = {
            "project": self.project,
            "dir": folder,
            "name": run_name(folder)[:128],  # W&B refuses longer names
            "group": self.group or sweep_name(folder),
            "job_type": self.job_type,
            "tags": [*self.tags, *(chosen[group] for group in DESCRIBED if group in chosen)],
            "config": {**config, "choices": chosen},
            "id": run_id(earlier) if self.resume else None,
            "resume": "allow" if self.resume else None,
        }
        settings = wandb.Settings(console="off", init_timeout=10)  # the progress bar would fill W&B's console log
        try:
            self._run = wandb.init(mode=self.mode, settings=settings, **arguments)  # type: ignore[arg-type]
        except wandb.Error as error:
            reason = str(error).splitlines()[0]
            print(f"fmtt: note: W&B cannot be reached, so the run is recorded offline: {reason}", file=sys.stderr)
            self._run = wandb.init(mode="offline", settings=settings, **arguments)
        if self._run.url:
            print(f"fmtt: note: W&B shows this run at {self._run.url}", file=sys.stderr)
        self._run.define_metric("t", hidden=True)  # an axis, no curve of its own
        self._folder, self._defined, self._shown = folder, {"t"}, False

    def log(self, row: Mapping[str, float], step: int) -> None:
        self._define(row)
        self._run.log(dict(row), step=step)

    def show(self, showcase: Showcase) -> None:
        import wandb

        self._shown = True
        pictures = {name: wandb.Image(str(path)) for name, path in showcase.pictures.items()}
        rows = [[wandb.Image(cell) if hasattr(cell, "shape") else cell for cell in row] for row in showcase.rows]
        table = wandb.Table(columns=list(showcase.columns), data=rows)
        weights = wandb.Histogram(showcase.weights.ravel().tolist())
        with staging(self._folder / "wandb"):
            self._run.log({**pictures, "particles": table, "weights": weights})
        self._define(showcase.frames)
        by_time: dict[float, dict[str, Any]] = {}
        for name, frames in showcase.frames.items():
            for t, pixels in frames:
                by_time.setdefault(t, {})[name] = wandb.Image(pixels)
        for t in sorted(by_time):
            self._run.log({"t": t, **by_time[t]})

    def finish(self, metrics: Metrics) -> None:
        self._run.config.update({"goals": goals(metrics)}, allow_val_change=True)
        if not self._shown:
            self._run.log({}, commit=True)  # the last row is still open, and would be written after the results
        self._run.summary.update(dict(metrics))

    def _define(self, names: Iterable[str]) -> None:
        """Make t the axis of names that were not logged before."""
        for name in names:
            if name not in self._defined:
                summary = f"{WORST[name]},last" if name in WORST else None
                self._run.define_metric(name, step_metric="t", summary=summary)
                self._defined.add(name)

    def close(self, failed: bool) -> None:
        if hasattr(self, "_run"):
            self._run.finish(exit_code=int(failed))


@contextmanager
def staging(folder: Path) -> Iterator[None]:
    """W&B keeps the pictures of a table in ``folder`` until they are uploaded; its default is the home directory."""
    before = os.environ.get("WANDB_DATA_DIR")
    os.environ["WANDB_DATA_DIR"] = before or str(folder)
    try:
        yield
    finally:
        if before is None:
            del os.environ["WANDB_DATA_DIR"]


def logged_in() -> bool:
    """Whether this user has a key for W&B, in the environment or in the netrc file; W&B is not contacted."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    base = os.environ.get("WANDB_BASE_URL")
    hosts = {urlsplit(base).hostname} if base else set(HOSTS)
    try:
        return not hosts.isdisjoint(netrc.netrc(os.environ.get("NETRC")).hosts)
    except (OSError, netrc.NetrcParseError):
        return False


def run_id(folder: Path) -> str | None:
    """The W&B id of the last run recorded in the folder."""
    records = sorted((folder / "wandb").glob("*run-*/run-*.wandb"), key=lambda record: record.stat().st_mtime)
    return records[-1].stem.removeprefix("run-") if records else None
