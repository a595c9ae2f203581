"""Pictures that users bring."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

MODES = {1: "L", 3: "RGB"}


def read_image(name: str, path: str | Path, channels: int) -> Tensor:
    """The picture in file ``path`` in [0, 1], ``(channels, H, W)``, grey or in colour; what is transparent is black.

    Args:
        name: of the setting that holds the path, for the error.
        path: any format that Pillow reads.
        channels: 1 or 3.

    Raises:
        ValueError: if there is no such file or it is no picture.
    """
    try:
        with Image.open(path) as file:
            picture = file.convert("RGBA")
    except (OSError, UnidentifiedImageError) as error:
        reason = "is not a picture" if Path(path).is_file() else "does not exist"
        raise ValueError(f"{name}={path}: the file {reason}") from error
    black = Image.new("RGBA", picture.size, (0, 0, 0, 255))
    pixels = np.array(Image.alpha_composite(black, picture).convert(MODES[channels]), dtype=np.float32) / 255
    return torch.from_numpy(pixels).reshape(*pixels.shape[:2], channels).movedim(-1, 0)
