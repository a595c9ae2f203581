"""Run a training with Lightning's Trainer: resumable, logged to CSV, exporting after every epoch."""

from __future__ import annotations

import time
from pathlib import Path

import lightning as L
import torch
from hydra.utils import instantiate
from lightning.pytorch.callbacks import ModelCheckpoint, TQDMProgressBar
from lightning.pytorch.loggers import CSVLogger
from omegaconf import DictConfig, OmegaConf

from fmtt.models.checkpoints import load_network, save_network


class Export(L.Callback):
    """Write the averaged weights after every epoch, so that a training can be used while it runs."""

    def __init__(self, config: DictConfig):
        self.config, self.started = config, time.time()

    def on_train_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        card = {
            "config": OmegaConf.to_container(self.config, resolve=True),
            "steps": int(module.step),
            "minutes_since_start": round((time.time() - self.started) / 60, 1),
        }
        arguments = {key: value for key, value in self.config.net.items() if key != "_target_"}
        save_network(module.average.module, arguments, self.config.export, card)


def train_flow_map(config: DictConfig) -> None:
    """Train as ``configs/training/flow_map.yaml`` says; goes on from ``output/last.ckpt`` where there is one."""
    torch.set_num_threads(config.threads)
    L.seed_everything(config.seed, verbose=False)  # the initial weights; every later draw is keyed
    data, net = instantiate(config.data), instantiate(config.net)
    if config.init is None:
        net.fit_gaussian(data.overview())
    else:
        net = load_network(config.init, type(net)).train().requires_grad_(True)
    module = instantiate(config.training, net=net, data=data, objective=instantiate(config.objective))
    if config.compile:
        module.net.compile(dynamic=False)
        module.average.module.compile(dynamic=False)
    last = Path(config.output) / "last.ckpt"
    trainer = L.Trainer(
        accelerator="auto",
        devices=1,
        precision=config.precision,
        max_epochs=config.training.steps // config.epoch,
        logger=CSVLogger(
            config.output, name="log", flush_logs_every_n_steps=50
        ),  # a resumed run has a table of its own
        log_every_n_steps=10,
        callbacks=[
            ModelCheckpoint(config.output, filename="last", enable_version_counter=False),
            Export(config),
            TQDMProgressBar(refresh_rate=50),
        ],
        enable_model_summary=False,
    )
    resume = str(last) if config.resume and last.is_file() else None
    trainer.fit(module, train_dataloaders=range(config.epoch), ckpt_path=resume, weights_only=False)
