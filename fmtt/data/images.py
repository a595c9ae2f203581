"""Picture files as tensors."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

BUNDLED = Path(__file__).parent / "pictures"
MODES = {1: "L", 3: "RGB"}
# errors of Pillow for a file that is not a picture, is cut off, or is so large that it may be an attack
DAMAGE = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)


def read_image(name: str, path: str | Path, channels: int) -> Tensor:
    """The picture in file ``path``, ``(channels, H, W)`` in [0, 1], in grey or colour. Transparent pixels become black.

    Grey pictures with 16 bits a pixel are reduced to 8 bits.

    Args:
        name: the setting that holds the path, for errors.
        path: a file in any format that Pillow reads; a name without an ending is a bundled picture.
        channels: 1 (grey) or 3 (colour).

    Raises:
        ValueError: if the file does not exist or is not a picture.
    """
    file = Path(path) if Path(path).suffix else BUNDLED / f"{path}.png"
    try:
        with Image.open(file) as opened:
            picture = rounded(opened).convert("RGBA")
    except DAMAGE as error:
        bundled = ", ".join(sorted(entry.stem for entry in BUNDLED.glob("*.png")))
        reason = "is not a picture" if file.is_file() else f"does not exist; give the path of a picture, or {bundled}"
        raise ValueError(f"{name}={path}: the file {reason}") from error
    black = Image.new("RGBA", picture.size, (0, 0, 0, 255))
    pixels = np.array(Image.alpha_composite(black, picture).convert(MODES[channels]), dtype=np.float32) / 255
    return torch.from_numpy(pixels).reshape(*pixels.shape[:2], channels).movedim(-1, 0)


def rounded(picture: Image.Image) -> Image.Image:
    """The picture with 8 bits a channel. Pillow's own conversion would make all values above 255 white."""
    if not picture.mode.startswith("I"):
        return picture
    return Image.fromarray((np.asarray(picture).clip(0, 65535) // 257).astype(np.uint8))


def read_sample(name: str, path: str | Path, shape: Sequence[int]) -> Tensor:
    """The picture in file ``path`` as a sample of a model: in [-1, 1], resized to ``shape = (C, H, W)``.

    Raises:
        ValueError: as in :func:`read_image`, or if samples of that shape are not pictures in grey or colour.
    """
    if len(shape) != 3 or shape[0] not in MODES:
        raise ValueError(f"{name}={path}: needs a model of pictures in grey or colour, not of shape {tuple(shape)}")
    return 2 * resized(read_image(name, path, channels=shape[0]), *shape[1:]) - 1


def resized(picture: Tensor, height: int, width: int) -> Tensor:
    """``picture (C, h, w)`` resized to ``(C, height, width)``, without aliasing."""
    return F.interpolate(picture[None], (height, width), mode="bilinear", align_corners=False, antialias=True)[0]
