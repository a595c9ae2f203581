"""What all trainings share: Lightning's Trainer, going on from the last checkpoint, and the card of the result."""

from __future__ import annotations

import platform
import re
import shlex
import sys
from pathlib import Path

import lightning as L
import torch
from lightning.pytorch.callbacks import ModelCheckpoint, Timer, TQDMProgressBar
from lightning.pytorch.loggers import CSVLogger
from omegaconf import DictConfig, OmegaConf


def fit(module: L.LightningModule, config: DictConfig, epochs: int, steps: int, *callbacks: L.Callback) -> float:
    """Train ``module``, which draws its own batches, for ``epochs`` of ``steps``; the minutes that it took.

    Goes on from ``config.output/last.ckpt`` where there is one and ``config.resume``; logs to tables below ``output``,
    a new one for each part of a resumed training.
    """
    last = Path(config.output) / "last.ckpt"
    trainer = L.Trainer(
        accelerator="auto",
        devices=1,
        precision=config.precision,
        max_epochs=epochs,
        logger=CSVLogger(config.output, name="log", flush_logs_every_n_steps=50),
        log_every_n_steps=10,
        callbacks=[
            ModelCheckpoint(config.output, filename="last", enable_version_counter=False),
            Timer(),
            TQDMProgressBar(refresh_rate=50),
            *callbacks,
        ],
        enable_model_summary=False,
    )
    resume = str(last) if config.resume and last.is_file() else None
    trainer.fit(module, train_dataloaders=range(steps), ckpt_path=resume, weights_only=False)
    return minutes_of(trainer)


def minutes_of(trainer: L.Trainer) -> float:
    """How long a training has taken so far, with the parts before it was resumed."""
    timer = next(callback for callback in trainer.callbacks if isinstance(callback, Timer))
    return timer.time_elapsed("train") / 60


def card(config: DictConfig, minutes: float) -> dict[str, object]:
    """How a network was made: command, seed, time, hardware, configuration."""
    return {
        "command": shlex.join(["python", *sys.argv]),
        "seed": config.seed,
        "minutes": round(minutes, 1),
        "hardware": hardware(),
        "config": OmegaConf.to_container(config, resolve=True),
    }


def hardware() -> str:
    """What trained, in words."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    described = Path("/proc/cpuinfo")  # Linux; elsewhere Python knows a name
    names = re.findall(r"model name\s*: (.*)", described.read_text()) if described.is_file() else []
    return f"{torch.get_num_threads()} thread(s) of {names[0] if names else platform.processor()}"
