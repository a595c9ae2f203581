"""Train the digit classifiers: the one of the reward, and an independent one that grades samples."""

from __future__ import annotations

import math

import lightning as L
import torch
import torch.nn.functional as F
from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn

from fmtt.checks import whole_number
from fmtt.data.mnist import load_mnist, to_unit_range
from fmtt.flow import noise
from fmtt.models.checkpoints import load_network, save_network
from fmtt.models.classifier import DigitClassifier
from fmtt.training.trainer import OneCycle, card, fit


def augment(images: Tensor, uniforms: Tensor, shift: float = 2.0, degrees: float = 10.0, scale: float = 0.1) -> Tensor:
    """Shift, rotate and scale every image a little. Pixels from outside the image are background (-1).

    Args:
        images: ``(B, C, H, W)`` in [-1, 1].
        uniforms: four numbers in [0, 1) for each image, ``(B, 4)``; with .5 everywhere the images do not change.
        shift: largest shift in pixels, in each direction.
        degrees: largest angle of rotation, in either direction.
        scale: largest relative change of the size.
    """
    x, y, turn, size = (2 * uniforms.to(images) - 1).unbind(1)
    angle, factor = math.radians(degrees) * turn, 1 + scale * size
    height, width = images.shape[-2:]
    cos, sin = factor * angle.cos(), factor * angle.sin()
    rows = [cos, -sin, 2 * shift / width * x, sin, cos, 2 * shift / height * y]
    grid = F.affine_grid(torch.stack(rows, dim=1).view(-1, 2, 3), list(images.shape), align_corners=False)
    return F.grid_sample(images + 1, grid, align_corners=False) - 1


class ClassifierTraining(OneCycle):
    """Cross-entropy on augmented, slightly noisy images.

    There is no label smoothing, since the log-probabilities must be calibrated. All draws are keyed by (seed, step), so
    a resumed training gives the same result as one without interruption.

    Args:
        net: the classifier.
        images: the training images ``(N, C, H, W)`` as uint8.
        labels: their classes ``(N,)``.
        epochs: passes over the images.
        batch, lr, weight_decay, noise_std, seed: as in :class:`OneCycle`.
    """

    def __init__(
        self,
        net: nn.Module,
        images: Tensor,
        labels: Tensor,
        epochs: int,
        batch: int,
        lr: float,
        weight_decay: float,
        noise_std: float,
        seed: int,
    ):
        whole_number("training.epochs", epochs, 1)
        whole_number("training.batch", batch, 1)  # the number of steps depends on it
        super().__init__(net, epochs * (len(images) // batch), batch, lr, weight_decay, noise_std, seed)
        self.images, self.labels = images, labels

    @property
    def steps_per_epoch(self) -> int:
        return len(self.images) // self.batch

    def draw(self, step: int) -> tuple[Tensor, Tensor]:
        """Images ``(batch, C, H, W)`` and labels ``(batch,)`` of ``step``; every epoch has its own order."""
        epoch, index = divmod(step, self.steps_per_epoch)
        order = noise.generator(self.seed, epoch, "order").permutation(len(self.images))
        which = torch.from_numpy(order[index * self.batch : (index + 1) * self.batch])
        uniforms = noise.uniform((self.batch, 5), self.seed, step, "augmentation").float()
        images = augment(to_unit_range(self.images[which]), uniforms[:, :4])
        strength = self.noise_std * uniforms[:, 4, None, None, None]
        noisy = images + strength * noise.normal(images.shape, self.seed, step, "noise")
        return noisy.to(self.device), self.labels[which].to(self.device)

    def training_step(self, batch: object, batch_idx: int) -> Tensor:
        images, labels = self.draw(self.global_step)
        logits = self.net(images).float()
        loss = F.cross_entropy(logits, labels)
        accuracy = (logits.argmax(1) == labels).float().mean()
        self.log_dict({"loss": loss, "accuracy": accuracy}, prog_bar=True)
        return loss


@torch.inference_mode()
def grade(net: nn.Module, images: Tensor, labels: Tensor, chunk: int = 500) -> dict[str, float]:
    """Accuracy and mean negative log-likelihood (nats) of ``net`` on uint8 ``images (N, C, H, W)``, ``labels (N,)``."""
    logits = torch.cat([net(to_unit_range(part)) for part in images.split(chunk)])
    return {
        "test_accuracy": (logits.argmax(1) == labels).double().mean().item(),
        "test_negative_log_likelihood": F.cross_entropy(logits.double(), labels).item(),
    }


def train_classifier(config: DictConfig) -> dict[str, object]:
    """Train as ``configs/training/reward.yaml`` says, export the weights and grade them; returns the card.

    If there is a checkpoint ``output/last.ckpt``, the training resumes from it.
    """
    torch.set_num_threads(config.threads)
    L.seed_everything(config.seed, verbose=False)  # the initial weights; every later draw is keyed
    images, labels = load_mnist("train")
    net = DigitClassifier(**config.net).to(memory_format=torch.channels_last)
    module = ClassifierTraining(net, images, labels, seed=config.seed, **config.training)
    minutes = fit(module, config, config.training.epochs, module.steps_per_epoch)
    made = card(config, minutes)
    arguments = OmegaConf.to_container(config.net)
    save_network(net, arguments, config.export, made)
    exported = load_network(config.export, DigitClassifier)
    made |= grade(exported, *load_mnist("test"))
    save_network(exported, arguments, config.export, made)  # the same float16 weights, now with their grades
    return made
