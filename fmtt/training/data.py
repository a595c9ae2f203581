"""What a flow map is trained on: keyed draws of data, shape D each."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from fmtt.data.clocks import DRAWS, Looks, Times, render
from fmtt.data.mnist import load_mnist, to_unit_range
from fmtt.flow import noise
from fmtt.models.analytic import GaussianMixture
from fmtt.models.ring import Ring


class Data(Protocol):
    """A source of training samples."""

    def draw(self, count: int, *key: int | str) -> Tensor:
        """``(count, *D)`` in float32, a function of the key."""
        ...

    def overview(self) -> Tensor:
        """Samples whose mean and standard deviation are those of the data."""
        ...


class MnistImages:
    """The training images of MNIST in [-1, 1], drawn with replacement."""

    def __init__(self) -> None:
        self.images, _ = load_mnist("train")

    def draw(self, count: int, *key: int | str) -> Tensor:
        which = noise.uniform((count,), *key)
        return to_unit_range(self.images[(which * len(self.images)).long()])

    def overview(self) -> Tensor:
        return to_unit_range(self.images)


class ClockImages:
    """Rendered clocks ``(1, size, size)``, each drawn only once.

    Args:
        size: height and width.
        times: the law of what they show.
        looks: what they may look like.
    """

    def __init__(self, size: int, times: Times = Times(), looks: Looks = Looks()):
        self.size, self.times, self.look_ahead = size, times, looks

    def draw(self, count: int, *key: int | str) -> Tensor:
        uniforms = noise.uniform((count, 2 + DRAWS), "clocks", *key)
        return render(self.times.draw(uniforms[:, :2]), uniforms[:, 2:], self.look_ahead, self.size).float()

    def overview(self) -> Tensor:
        return self.draw(4_000, "overview")


def clock_images(size: int, count: int) -> Tensor:
    """Clocks that no training has seen, ``(count, 1, size, size)``; at the times of the model."""
    return ClockImages(size).draw(count, "test")


class ModelSamples:
    """Draws from the law of a model whose law is known."""

    def __init__(self, model: GaussianMixture | Ring):
        self.law = model.law

    def draw(self, count: int, *key: int | str) -> Tensor:
        seed = int(noise.generator("model samples", *key).integers(2**62))
        return self.law.sample(count, seed).float()

    def overview(self) -> Tensor:
        return self.law.sample(20_000, 0).float()


class ExactTeacher:
    """The velocity of a model in the place of the average network: ``(x, s, t) -> b_s(x)``, for s = t."""

    def __init__(self, model: GaussianMixture | Ring):
        self.model = model

    def __call__(self, x: Tensor, s: Tensor, t: Tensor) -> Tensor:
        return self.model.velocity(x, s)
