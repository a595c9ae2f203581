"""Train the clock reader that is a reward: on times of all day, and on looks that the model has never seen."""

from __future__ import annotations

import lightning as L
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn

from fmtt import noise
from fmtt.data.clocks import DRAWS, HALF_DAY, Looks, render
from fmtt.models.checkpoints import load_network, save_network
from fmtt.models.clock_reader import ClockReader, disagreement, hands, read
from fmtt.training.trainer import OneCycle, card, fit
from fmtt.validation import whole_number


def clocks(count: int, looks: Looks, size: int, *key: int | str) -> tuple[Tensor, Tensor]:
    """Clocks ``(count, 1, size, size)`` and the times that they show ``(count,)``, of all day."""
    uniforms = noise.uniform((count, 1 + DRAWS), *key).float()
    times = HALF_DAY * uniforms[:, 0]
    return render(times, uniforms[:, 1:], looks, size), times


class ClockReaderTraining(OneCycle):
    """Regression on where the hands point, on noisy images that are drawn once.

    Args:
        net: the reader.
        looks: what the clocks may look like.
        size: of the images.
        steps: optimisation steps.
        batch, lr, weight_decay, noise_std, seed: as in :class:`OneCycle`.
    """

    def __init__(
        self,
        net: nn.Module,
        looks: Looks,
        size: int,
        steps: int,
        batch: int,
        lr: float,
        weight_decay: float,
        noise_std: float,
        seed: int,
    ):
        whole_number("training.steps", steps, 1)
        whole_number("training.batch", batch, 1)
        super().__init__(net, steps, batch, lr, weight_decay, noise_std, seed)
        self.looks, self.size = looks, size

    def training_step(self, batch: object, batch_idx: int) -> Tensor:
        step = self.global_step
        images, times = clocks(self.batch, self.looks, self.size, self.seed, step, "clocks")
        strength = self.noise_std * noise.uniform((self.batch, 1, 1, 1), self.seed, step, "strength").float()
        noisy = images + strength * noise.normal(images.shape, self.seed, step, "noise")
        loss = disagreement(self.net(noisy.to(self.device)).float(), hands(times).to(self.device)).mean()
        self.log("loss", loss, prog_bar=True)
        return loss


@torch.inference_mode()
def grade(net: nn.Module, size: int, count: int = 2000) -> dict[str, float]:
    """How well ``net`` reads clocks that look as those of the model do, at all times of day."""
    images, times = clocks(count, Looks(), size, 0, "test")
    seen = torch.cat([net(part) for part in images.split(500)])
    errors = (read(seen) - times + HALF_DAY / 2).remainder(HALF_DAY).sub(HALF_DAY / 2).abs()
    return {
        "disagreement": disagreement(seen, hands(times)).mean().item(),
        "median_error_minutes": errors.median().item(),
        "within_5_minutes": (errors <= 5).double().mean().item(),
    }


def train_clock_reader(config: DictConfig) -> dict[str, object]:
    """Train as ``configs/training/clock_reader.yaml`` says, export, and grade what was exported; returns its card."""
    torch.set_num_threads(config.threads)
    L.seed_everything(config.seed, verbose=False)  # the initial weights; every later draw is keyed
    net, looks = ClockReader(**config.net).to(memory_format=torch.channels_last), instantiate(config.looks)
    module = ClockReaderTraining(net, looks, config.net.size, seed=config.seed, **config.training)
    made = card(config, fit(module, config, 1, config.training.steps))
    arguments = OmegaConf.to_container(config.net)
    save_network(net, arguments, config.export, made)
    exported = load_network(config.export, ClockReader)
    made |= grade(exported, config.net.size)
    save_network(exported, arguments, config.export, made)  # the same float16 weights, now with their grades
    return made
