"""Train a flow map. Its weights are exported after every epoch."""

from __future__ import annotations

from pathlib import Path

import lightning as L
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig

from fmtt.models.checkpoints import load_network, save_network
from fmtt.training.trainer import card, fit, minutes_of


class Export(L.Callback):
    """Writes the averaged weights after every epoch, so the model can be used during the training.

    After the steps of ``config.stages`` they are also written to a file of their own, such as ``clocks_1000``.
    """

    def __init__(self, config: DictConfig):
        self.config = config

    def on_train_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        arguments = {key: value for key, value in self.config.net.items() if key != "_target_"}
        path, step = Path(self.config.export), int(module.step)
        made = card(self.config, minutes_of(trainer)) | {"steps": step}
        kept = [path.with_stem(f"{path.stem}_{step}")] if step in self.config.stages else []
        for file in (path, *kept):
            save_network(module.average.module, arguments, file, made)


def train_flow_map(config: DictConfig) -> None:
    """Train as ``configs/training/flow_map.yaml`` says; resumes from ``output/last.ckpt`` if there is one."""
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
    fit(module, config, config.training.steps // config.epoch, config.epoch, Export(config))
