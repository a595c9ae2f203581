"""Train the clock reader that is a reward: on times of all day, and on looks that the model has never seen."""

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
    """Clocks ``(count, 1, size, size)`` and the times that they show ``(count,)``, of all day."""
    uniforms = noise.uniform((count, 1 + DRAWS), *key).float()
    times = HALF_DAY * uniforms[:, 0]
    return render(times, uniforms[:, 1:], looks, size), times


def exposed_twice(count: int, looks: Looks, size: int, *key: int | str) -> tuple[Tensor, Tensor]:
    """Clocks ``(count, 1, size, size)`` with a ghost of another time, and where their hands point on average
    ``(count, 2, 2)``, each position as much as it is seen.

    Faint and doubled hands are what a flow map makes where it is unsure. A reader that never saw any takes one of them
    for the hand, and whoever maximises the reward finds the clocks that deceive it.
    """
    uniforms = noise.uniform((count, 2 + DRAWS), *key).float()
    times, looked = HALF_DAY * uniforms[:, 0], uniforms[:, 2:]
    later = times + HOUR * noise.normal((count,), *key, "later")
    images = (render(shown, looked, looks, size) for shown in (times, later))
    return mix(*images, uniforms[:, 1, None, None, None]), mix(hands(times), hands(later), uniforms[:, 1, None, None])


class ClockReaderTraining(OneCycle):
    """Regression on where the hands point, on noisy images that are drawn once.

    Args:
        net: the reader.
        looks: what the clocks may look like.
        size: of the images.
        doubled: the share of clocks that are exposed twice.
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
        whole_number("training.batch", batch, 1)
        super().__init__(net, steps, batch, lr, weight_decay, noise_std, seed)
        fraction("training.doubled", doubled)
        self.look_ahead, self.size, self.doubled = looks, size, round(doubled * batch)

    def training_step(self, batch: object, batch_idx: int) -> Tensor:
        step = self.global_step
        images, times = clocks(self.batch - self.doubled, self.look_ahead, self.size, self.seed, step, "clocks")
        ghosts, means = exposed_twice(self.doubled, self.look_ahead, self.size, self.seed, step, "doubled")
        images, wanted = torch.cat([images, ghosts]), torch.cat([hands(times), means])
        strength = self.noise_std * noise.uniform((self.batch, 1, 1, 1), self.seed, step, "strength").float()
        noisy = images + strength * noise.normal(images.shape, self.seed, step, "noise")
        loss = disagreement(self.net(noisy.to(self.device)).float(), wanted.to(self.device)).mean()
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
