"""Samples as pixels: pure functions of arrays."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

import numpy as np
from PIL import Image

from fmtt.run_folder import Array

BLOCK, GAP = 640, 4  # pixels: size of a block of pictures, space between them
FRAME = (220, 38, 38)  # red


def is_picture(shape: Sequence[int]) -> bool:
    """Whether samples of ``shape`` are pictures ``(C, H, W)`` in grey or colour."""
    return len(shape) == 3 and shape[0] in (1, 3)


def in_colour(pictures: Array) -> Array:
    """Pictures ``(M, C, H, W)`` in [-1, 1] as uint8 ``(M, H, W, 3)``."""
    pixels = np.rint(np.clip((pictures + 1) * 127.5, 0, 255)).astype(np.uint8)
    return np.broadcast_to(pixels, (len(pixels), 3, *pixels.shape[2:])).transpose(0, 2, 3, 1)


def mosaic(pictures: Array, framed: Collection[int] = ()) -> Array:
    """Pictures ``(M, C, H, W)`` in [-1, 1] on a near-square grid, uint8 ``(height, width, 3)``.

    Small pictures are enlarged by a whole factor, so every pixel stays crisp; large ones are reduced.
    """
    count, _, height, width = pictures.shape
    columns = math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    pixels = in_colour(pictures)
    room = BLOCK // columns
    if room >= width:
        factor = round(room / width)
        pixels = pixels.repeat(factor, axis=1).repeat(factor, axis=2)
    else:
        size = (room, max(1, room * height // width))
        pixels = np.stack(
            [np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS)) for picture in pixels]
        )
    height, width = pixels.shape[1:3]
    out = np.full((rows * (height + GAP) + GAP, columns * (width + GAP) + GAP, 3), 255, np.uint8)
    for number, picture in enumerate(pixels):
        top, left = GAP + number // columns * (height + GAP), GAP + number % columns * (width + GAP)
        if number in framed:
            out[top - GAP : top + height + GAP, left - GAP : left + width + GAP] = FRAME
        out[top : top + height, left : left + width] = picture
    return out
