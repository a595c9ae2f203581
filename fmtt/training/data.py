"""Training data of flow maps: keyed draws of samples of shape D, and of what the network is told of each."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from fmtt.checks import fraction
from fmtt.data.clocks import DRAWS, Looks, Times, render
from fmtt.data.mnist import load_mnist, to_unit_range
from fmtt.data.scene_texts import Speaker, contents, held_out
from fmtt.data.scenes import Scenes, World
from fmtt.data.scenes import render as scene_pictures
from fmtt.flow import noise
from fmtt.models.analytic import GaussianMixture
from fmtt.models.ring import Ring
from fmtt.models.words import caption_tokens
from fmtt.training.captioned import Drawn


class Data(Protocol):
    """A source of training samples."""

    def draw(self, count: int, *key: int | str) -> Drawn:
        """``count`` samples; a function of the key alone."""
        ...

    def overview(self) -> Tensor:
        """Samples for the mean and standard deviation of the data."""
        ...


class MnistImages:
    """The training images of MNIST in [-1, 1], drawn with replacement."""

    def __init__(self) -> None:
        self.images, _ = load_mnist("train")

    def draw(self, count: int, *key: int | str) -> Drawn:
        which = noise.uniform((count,), *key)
        return Drawn(to_unit_range(self.images[(which * len(self.images)).long()]))

    def overview(self) -> Tensor:
        return to_unit_range(self.images)


class ClockImages:
    """Rendered clocks ``(1, size, size)``; every draw is a new clock.

    Args:
        size: height and width.
        times: the law of the times that they show.
        looks: the looks of the clocks.
    """

    def __init__(self, size: int, times: Times = Times(), looks: Looks = Looks()):
        self.size, self.times, self.looks = size, times, looks

    def draw(self, count: int, *key: int | str) -> Drawn:
        uniforms = noise.uniform((count, 2 + DRAWS), "clocks", *key)
        return Drawn(render(self.times.draw(uniforms[:, :2]), uniforms[:, 2:], self.looks, self.size).float())

    def overview(self) -> Tensor:
        return self.draw(4_000, "overview").samples


def clock_images(size: int, count: int) -> Tensor:
    """Clocks that are in no training data, ``(count, 1, size, size)``, with the law of times of the training data."""
    return ClockImages(size).draw(count, "test").samples


class SceneImages:
    """Rendered scenes ``(3, 32, 32)`` with captions; every draw is a new scene. None shows what is held out.

    Args:
        world: the habits of the scenes.
        speaker: the habits of the captions.
        untold: share of the scenes whose caption is left empty, for classifier-free guidance.
    """

    def __init__(self, world: World = World(), speaker: Speaker = Speaker(), untold: float = 0.0):
        self.world, self.speaker, self.never = world, speaker, held_out()
        self.untold = fraction("data.untold", untold)

    def draw(self, count: int, *key: int | str) -> Drawn:
        scenes, texts = self.scenes(count, *key)
        told = noise.uniform((count,), "untold", *key) >= self.untold
        return Drawn(scene_pictures(scenes), caption_tokens(texts) * told[:, None])

    def scenes(self, count: int, *key: int | str) -> tuple[Scenes, list[str]]:
        """Scenes and their captions."""
        generator = noise.generator("scenes", *key)
        more = self.world.draw(count + count // 8 + 16, generator)
        allowed = torch.tensor([content not in self.never for content in contents(more)]).nonzero()[:, 0]
        scenes = more.take(allowed[:count])
        return scenes, self.speaker.captions(scenes, generator)

    def overview(self) -> Tensor:
        return self.draw(4_000, "overview").samples


class ModelSamples:
    """Draws from a model with a known law."""

    def __init__(self, model: GaussianMixture | Ring):
        self.law = model.law

    def draw(self, count: int, *key: int | str) -> Drawn:
        seed = int(noise.generator("model samples", *key).integers(2**62))
        return Drawn(self.law.sample(count, seed).float())

    def overview(self) -> Tensor:
        return self.law.sample(20_000, 0).float()
