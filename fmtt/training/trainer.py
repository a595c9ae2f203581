"""The common part of all trainings: Lightning's Trainer, resuming from the last checkpoint, the card of the result."""

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
from torch import Tensor, nn

from fmtt.checks import whole_number
from fmtt.flow import noise


class OneCycle(L.LightningModule):
    """Trains ``net`` by AdamW under a one-cycle learning rate, on batches that it draws itself.

    Args:
        net: the network.
        total: optimisation steps.
        batch: images at each step.
        lr: highest learning rate.
        weight_decay: of AdamW.
        noise_std: largest standard deviation of the Gaussian noise; that of each image is drawn uniformly below it.
        seed: seed of all draws.
    """

    def __init__(
        self, net: nn.Module, total: int, batch: int, lr: float, weight_decay: float, noise_std: float, seed: int
    ):
        super().__init__()
        whole_number("training.batch", batch, 1)
        self.net, self.total, self.batch, self.seed = net, total, batch, seed
        self.lr, self.weight_decay, self.noise_std = lr, weight_decay, noise_std

    def noisy(self, images: Tensor, step: int) -> Tensor:
        """``images (B, ...)`` with noise of a strength drawn for each, on the device of the module."""
        strength = noise.uniform((len(images), *[1] * (images.ndim - 1)), self.seed, step, "strength").float()
        drawn = noise.normal(images.shape, self.seed, step, "noise")
        return (images + self.noise_std * strength * drawn).to(self.device)

    def configure_optimizers(self) -> dict[str, object]:
        optimizer = torch.optim.AdamW(self.parameters(), weight_decay=self.weight_decay)
        cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, self.lr, total_steps=self.total)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": cycle, "interval": "step"}}


def fit(module: L.LightningModule, config: DictConfig, epochs: int, steps: int, *callbacks: L.Callback) -> float:
    """Train ``module`` for ``epochs`` epochs of ``steps`` steps; returns the minutes of the whole training.

    The module draws its own batches. With ``config.resume`` the training resumes from ``config.output/last.ckpt`` if
    there is one. Logs are tables below ``output``, one for each part of a resumed training.
    """
    last = Path(config.output) / "last.ckpt"
    trainer = L.Trainer(
        accelerator="auto",
        devices=1,
        precision=precision(config),
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
    """The duration of a training so far in minutes, with the parts before it was resumed."""
    timer = next(callback for callback in trainer.callbacks if isinstance(callback, Timer))
    return timer.time_elapsed("train") / 60


def card(config: DictConfig, minutes: float) -> dict[str, object]:
    """The record of a training: command, seed, time, hardware, precision, configuration."""
    return {
        "command": shlex.join(["python", *sys.argv]),
        "seed": config.seed,
        "minutes": round(minutes, 1),
        "hardware": hardware(),
        "precision": precision(config),
        "config": OmegaConf.to_container(config, resolve=True),
    }


def precision(config: DictConfig) -> str:
    """Lightning's name of the precision; ``auto`` is bfloat16 if the hardware has instructions for it, else float32.

    oneDNN supports bfloat16 on more processors, but without such instructions it is two times slower than float32.
    """
    if config.precision != "auto":
        return config.precision
    native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return "bf16-mixed" if native or torch.cuda.is_available() else "32-true"


def hardware() -> str:
    """A description of the hardware of the training."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    described = Path("/proc/cpuinfo")  # Linux; elsewhere the name is that of platform.processor()
    names = re.findall(r"model name\s*: (.*)", described.read_text()) if described.is_file() else []
    return f"{torch.get_num_threads()} thread(s) of {names[0] if names else platform.processor()}"
