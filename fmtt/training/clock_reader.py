"""Train the clock reader of the reward, on all times of day, with looks that the training data of the model lack."""

from __future__ import annotations

import lightning as L
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn

from fmtt.checks import fraction, whole_number
from fmtt.data.clocks import DRAWS, HALF_DAY, Looks, mix, render
from fmtt.flow import noise
from fmtt.models.checkpoints import load_network, save_network
from fmtt.models.clock_reader import HOUR, ClockReader, disagreement, hands, read
from fmtt.training.trainer import OneCycle, card, fit


def clocks(count: int, looks: Looks, size: int, *key: int | str) -> tuple[Tensor, Tensor]:
    """Clocks ``(count, 1, size, size)`` and the times that they show ``(count,)``, uniform over the dial."""
    uniforms = noise.uniform((count, 1 + DRAWS), *key).float()
    times = HALF_DAY * uniforms[:, 0]
    return render(times, uniforms[:, 1:], looks, size), times


def exposed_twice(count: int, looks: Looks, size: int, *key: int | str) -> tuple[Tensor, Tensor]:
    """Mixtures of two clocks with the same looks and different times, ``(count, 1, size, size)``.

    Also returned are the directions of the hands ``(count, 2, 2)``, averaged with the weights of the mixture. Where a
    flow map is uncertain it makes faint and doubled hands. A reader that was not trained on such clocks takes one of
    the two hands for the true one. A maximiser of the reward then finds clocks that exploit this error.
    """
    uniforms = noise.uniform((count, 2 + DRAWS), *key).float()
    times, looked = HALF_DAY * uniforms[:, 0], uniforms[:, 2:]
    later = times + HOUR * noise.normal((count,), *key, "later")
    images = (render(shown, looked, looks, size) for shown in (times, later))
    return mix(*images, uniforms[:, 1, None, None, None]), mix(hands(times), hands(later), uniforms[:, 1, None, None])


class ClockReaderTraining(OneCycle):
    """Regression on the directions of the hands, on noisy images; every image is new.

    Args:
        net: the reader.
        looks: the looks of the clocks.
        size: height and width of the images.
        doubled: the share of clocks from :func:`exposed_twice`.
        steps: optimisation steps.
        batch, lr, weight_decay, noise_std, seed: as in :class:`OneCycle`.
    """

    def __init__(
        self,
        net: nn.Module,
        looks: Looks,
        size: int,
        doubled: float,
        steps: int,
        batch: int,
        lr: float,
        weight_decay: float,
        noise_std: float,
        seed: int,
    ):
        whole_number("training.steps", steps, 1)
        super().__init__(net, steps, batch, lr, weight_decay, noise_std, seed)
        fraction("training.doubled", doubled)
        self.looks, self.size, self.doubled = looks, size, round(doubled * batch)

    def training_step(self, batch: object, batch_idx: int) -> Tensor:
        step = self.global_step
        images, times = clocks(self.batch - self.doubled, self.looks, self.size, self.seed, step, "clocks")
        ghosts, means = exposed_twice(self.doubled, self.looks, self.size, self.seed, step, "doubled")
        images, wanted = torch.cat([images, ghosts]), torch.cat([hands(times), means])
        loss = disagreement(self.net(self.noisy(images, step)).float(), wanted.to(self.device)).mean()
        self.log("loss", loss, prog_bar=True)
        return loss


@torch.inference_mode()
def grade(net: nn.Module, size: int, count: int = 2000) -> dict[str, float]:
    """Errors of ``net`` on clocks with the looks of the model's training data, at all times of day."""
    images, times = clocks(count, Looks(), size, 0, "test")
    seen = torch.cat([net(part) for part in images.split(500)])
    errors = (read(seen) - times + HALF_DAY / 2).remainder(HALF_DAY).sub(HALF_DAY / 2).abs()
    return {
        "disagreement": disagreement(seen, hands(times)).mean().item(),
        "median_error_minutes": errors.median().item(),
        "within_5_minutes": (errors <= 5).double().mean().item(),
    }


def train_clock_reader(config: DictConfig) -> dict[str, object]:
    """Train as ``configs/training/clock_reader.yaml`` says, export the weights and grade them; returns the card."""
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
