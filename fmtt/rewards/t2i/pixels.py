"""From pictures in [-1, 1] to what the networks see; differentiable, in the numbers of the published processors.

Values outside of [-1, 1] are clamped first, as the pipelines of diffusers do before they save a PNG. So the reward is
that of the picture that people see, and no reward can be gained from colours that do not exist. The reward does not
depend on how far a value is outside, so the gradient there is zero.
"""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor
from torchvision.transforms.functional import center_crop

MEAN = (0.48145466, 0.4578275, 0.40821073)  # of the pictures that CLIP was trained on
STD = (0.26862954, 0.26130258, 0.27577711)

Preparation = Callable[[Tensor, int], Tensor]


def cropped(x: Tensor, size: int) -> Tensor:
    """The square in the middle of pictures ``(B, 3, H, W)``, as ``CLIPImageProcessor`` makes it ``(B, 3, size, size)``.

    Raises:
        ValueError: if they are no pictures in colour.
    """
    whole = covering(x, size)
    top, left = ((length - size) // 2 for length in whole.shape[-2:])
    return normalised(whole[..., top : top + size, left : left + size])


def centred(x: Tensor, size: int) -> Tensor:
    """The same as torchvision's ``CenterCrop`` makes it, which rounds the margins where :func:`cropped` cuts them off.

    Raises:
        ValueError: if they are no pictures in colour.
    """
    return normalised(center_crop(covering(x, size), [size, size]))


def covering(x: Tensor, size: int) -> Tensor:
    """Pictures ``(B, 3, H, W)`` in [0, 1] whose shorter side has ``size`` pixels.

    Raises:
        ValueError: if they are no pictures in colour.
    """
    height, width = x.shape[-2:]
    short = min(height, width)
    return resized(visible(x), size * height // short, size * width // short)


def letterboxed(x: Tensor, size: int) -> Tensor:
    """Whole pictures ``(B, 3, H, W)`` with black bars, as HPS v2 (``ResizeMaxSize``) makes them ``(B, 3, size, size)``.

    Raises:
        ValueError: if they are no pictures in colour.
    """
    height, width = x.shape[-2:]
    shrink = size / max(height, width)
    whole = resized(visible(x), round(height * shrink), round(width * shrink))
    below, right = (size - length for length in whole.shape[-2:])
    top, left = below // 2, right // 2
    return normalised(F.pad(whole, (left, right - left, top, below - top)))


def visible(x: Tensor) -> Tensor:
    """Pictures ``(B, 3, H, W)`` in [-1, 1] as they are saved: in [0, 1], and clamped to it.

    Raises:
        ValueError: if they are no pictures in colour.
    """
    if x.ndim != 4 or x.shape[1] != 3:
        raise ValueError(f"this reward needs pictures (3, H, W), not samples of shape {tuple(x.shape[1:])}")
    return (x / 2 + 0.5).clamp(0, 1)


def resized(pictures: Tensor, height: int, width: int) -> Tensor:
    """Bicubic and without aliasing. Values beside sharp edges may leave [0, 1]; processors of 8 bits clip them."""
    return F.interpolate(pictures, (height, width), mode="bicubic", align_corners=False, antialias=True)


def normalised(pictures: Tensor) -> Tensor:
    mean, std = (pictures.new_tensor(values)[:, None, None] for values in (MEAN, STD))
    return (pictures - mean) / std
