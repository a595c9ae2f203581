"""Geometric rewards on images ``(B, C, H, W)`` in [-1, 1] (arXiv 2511.22688, qualitative experiments).

Each reward is minus the mean over pixels of a squared deviation, so a scale has the same effect at every resolution.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path

import torch
from torch import Tensor

from fmtt.checks import choice, finite
from fmtt.data.images import read_image, read_sample, resized


def images(reward: str, x: Tensor) -> Tensor:
    """``x`` itself, after a check that it is a batch of images.

    Raises:
        ValueError: if it is not of shape ``(B, C, H, W)``.
    """
    if x.ndim != 4:
        raise ValueError(f"reward {reward} needs images (C, H, W), not samples of shape {tuple(x.shape[1:])}")
    return x


def mean_square(deviation: Tensor) -> Tensor:
    """Mean over channels and pixels of ``deviation^2``; ``(B, C, H, W)`` to ``(B,)``."""
    return deviation.square().mean((1, 2, 3))


@dataclass(frozen=True)
class Symmetry:
    """``r = -mean (x - mirror x)^2``: zero if an image equals its left-right mirror image."""

    scale: float = 1.0

    def __post_init__(self) -> None:
        finite("reward.scale", self.scale)

    def __call__(self, x: Tensor) -> Tensor:
        return -mean_square(images("symmetry", x) - x.flip(-1))


@dataclass(frozen=True)
class Antisymmetry:
    """``r = -mean (x + mirror x)^2``: zero if the mirror image of an image is its negative."""

    scale: float = 1.0

    def __post_init__(self) -> None:
        finite("reward.scale", self.scale)

    def __call__(self, x: Tensor) -> Tensor:
        return -mean_square(images("antisymmetry", x) + x.flip(-1))


@dataclass(frozen=True)
class Rotation:
    """``r = -mean (x - rot180 x)^2``: zero if an image equals its rotation by 180 degrees."""

    scale: float = 1.0

    def __post_init__(self) -> None:
        finite("reward.scale", self.scale)

    def __call__(self, x: Tensor) -> Tensor:
        return -mean_square(images("rotation", x) - x.flip(-2, -1))


def disc(u: Tensor, v: Tensor) -> Tensor:
    """A disc in the upper right quarter; u to the right, v upward, both in [-1, 1]."""
    return (u - 0.35) ** 2 + (v - 0.35) ** 2 < 0.6**2


def half(u: Tensor, v: Tensor) -> Tensor:
    """The left half."""
    return u < 0


def dial(u: Tensor, v: Tensor) -> Tensor:
    """A disc in the middle. It contains the hands of a clock, but not its marks."""
    return u**2 + v**2 < 0.7**2


def keyhole(u: Tensor, v: Tensor) -> Tensor:
    """A disc on a wedge that widens downward."""
    return (u**2 + (v - 0.3) ** 2 < 0.45**2) | ((v < 0.3) & (v > -0.9) & (u.abs() < 0.18 + 0.2 * (0.3 - v)))


def nothing(u: Tensor, v: Tensor) -> Tensor:
    """No point: with :class:`Keep`, a distance of the whole picture."""
    return (u.abs() > 1) | (v.abs() > 1)


def infinity(u: Tensor, v: Tensor) -> Tensor:
    """The sign of infinity: a band around the lemniscate of Bernoulli."""
    square = u**2 + v**2
    return (square**2 - 0.75 * (u**2 - v**2)).abs() < 0.16


MASKS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "disc": disc, "half": half, "keyhole": keyhole, "infinity": infinity, "dial": dial, "nothing": nothing,
}  # fmt: skip


@dataclass(frozen=True)
class Mask:
    """``r = -mean (1 - M) (x + 1)^2``: black (-1) outside a mask M.

    Attributes:
        shape: ``disc``, ``half``, ``keyhole``, ``infinity``, ``dial``, ``nothing``, or the path of a picture that is
            white inside.

    Raises:
        ValueError: if there is no such shape, or the file is not a picture.
    """

    shape: str = "disc"
    scale: float = 1.0
    inside: Callable[[int, int], Tensor] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        finite("reward.scale", self.scale)
        object.__setattr__(self, "inside", mask("reward.shape", self.shape))

    def __call__(self, x: Tensor) -> Tensor:
        height, width = images("mask", x).shape[-2:]
        outside = ~self.inside(height, width).to(x.device)
        return -mean_square(outside * (x + 1))


def mask(name: str, shape: str) -> Callable[[int, int], Tensor]:
    """A function from a height and a width to the mask, ``(H, W)``, true inside.

    A picture is resized; pixels brighter than half are inside. The mask of each size is computed once.

    Args:
        name: the setting that holds the shape, for errors.
        shape: a name, or the path of a picture.
    """
    if Path(str(shape)).suffix:
        picture = read_image(name, shape, channels=1)
        return cache(partial(white, picture))
    return cache(partial(drawn, MASKS[choice(name, shape, MASKS)]))


def drawn(shape: Callable[[Tensor, Tensor], Tensor], height: int, width: int) -> Tensor:
    u, v = torch.linspace(-1, 1, width), torch.linspace(1, -1, height)
    return shape(u[None, :], v[:, None])


def white(picture: Tensor, height: int, width: int) -> Tensor:
    return resized(picture, height, width)[0] > 0.5


@dataclass(frozen=True)
class Keep:
    """``r = -mean (1 - M) (x - picture)^2``: outside a mask M a sample should equal a picture.

    Attributes:
        path: the picture.
        shape: the mask, as in :class:`Mask`; pixels inside it are free.

    Raises:
        ValueError: if there is no such shape, or a file is not a picture.
    """

    path: str
    shape: str = "disc"
    scale: float = 1.0
    inside: Callable[[int, int], Tensor] = field(init=False, repr=False, compare=False)
    picture: Callable[[tuple[int, ...]], Tensor] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        finite("reward.scale", self.scale)
        object.__setattr__(self, "inside", mask("reward.shape", self.shape))
        read_image("reward.path", self.path, channels=1)  # a wrong path fails here, before the run
        object.__setattr__(self, "picture", cache(partial(read_sample, "reward.path", self.path)))

    def __call__(self, x: Tensor) -> Tensor:
        shape = tuple(images("keep", x).shape[1:])
        outside, picture = ~self.inside(*shape[1:]), self.picture(shape)
        return -mean_square(outside.to(x.device) * (x - picture.to(x)))
