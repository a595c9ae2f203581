"""The frames of a film in few bytes, for a page: pure functions of arrays."""

from __future__ import annotations

import base64
import io
import math

import numpy as np
from PIL import Image

from fmtt.report.common.pixels import in_colour
from fmtt.run_folder import Array

PICTURE, FRAME = 96, 288  # pixels: the longest side of a picture, and of a frame with all its pictures
LEVELS = 32  # of grey: noise does not compress well, and more levels are not seen in a film
UNKNOWN = 0.78  # a light grey between -1 and 1, for pictures that are not known


def contact_sheet(pictures: Array) -> tuple[Array, int]:
    """Frames ``(F, M, C, H, W)`` in [-1, 1], each a near-square mosaic, one below the other.

    Pictures keep their pixels unless they are large; a NaN is grey.

    Returns:
        The sheet, uint8 ``(F * height, width, C)``, and the height of a frame.
    """
    frames, count, channels = pictures.shape[:3]
    known = np.where(np.isnan(pictures), UNKNOWN, pictures.astype(np.float32))
    pixels = in_colour(known.reshape(-1, *pictures.shape[2:]))
    columns = math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    pixels = reduced(pixels, min(PICTURE, FRAME // columns))[..., :channels]
    height, width = pixels.shape[1:3]
    out = np.full((frames, rows * (height + 1) - 1, columns * (width + 1) - 1, channels), 255, np.uint8)
    for number, picture in enumerate(pixels.reshape(frames, count, height, width, channels).swapaxes(0, 1)):
        top, left = number // columns * (height + 1), number % columns * (width + 1)
        out[:, top : top + height, left : left + width] = picture
    return out.reshape(-1, *out.shape[2:]), out.shape[1]


def reduced(pixels: Array, side: int) -> Array:
    """Pictures uint8 ``(M, H, W, 3)``, reduced so that no side is longer than ``side``."""
    height, width = pixels.shape[1:3]
    longest = max(height, width)
    if longest <= side:
        return pixels
    size = (max(1, round(width * side / longest)), max(1, round(height * side / longest)))
    return np.stack([np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BOX)) for picture in pixels])


def data_uri(pixels: Array) -> str:
    """A sheet ``(height, width, C)`` as a data URI: grey as a PNG of few levels, colour as a JPEG."""
    file = io.BytesIO()
    if pixels.shape[2] == 1:
        step = 255 / (LEVELS - 1)
        picture = Image.fromarray(np.rint(pixels[..., 0] / step).astype(np.uint8), "P")  # unlike grey, not filtered
        picture.putpalette([round(level * step) for level in range(LEVELS) for _ in range(3)])
        picture.save(file, "PNG", optimize=True)
    else:
        Image.fromarray(pixels).save(file, "JPEG", quality=50, subsampling=0)
    kind = "png" if pixels.shape[2] == 1 else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode()}"


def extent(values: Array) -> tuple[float, float]:
    """The range of the finite values with a margin; around zero if there are none."""
    finite = values[np.isfinite(values)].astype(float)
    low, high = (finite.min(), finite.max()) if len(finite) else (0.0, 0.0)
    margin = 0.04 * (high - low) or 0.5
    return float(low - margin), float(high + margin)


def counts_in_bins(values: Array, edges: Array) -> Array:
    """The number of finite values ``(F, M)`` between neighbouring edges ``(B + 1,)``, in each frame; ``(F, B)``."""
    return np.stack([np.histogram(frame[np.isfinite(frame)], edges)[0] for frame in values])


def four_digits(values: Array) -> list[float]:
    """Numbers with four digits; half precision has no more."""
    return [float(f"{value:.4g}") for value in values.tolist()]
