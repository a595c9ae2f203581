"""Pictures as the patches that a vision tower takes; differentiable."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from fmtt.checks import whole_number
from fmtt.models.t2i.weights import library
from fmtt.rewards.t2i.pixels import resized, visible


@dataclass(frozen=True)
class Patches:
    """Cuts pictures as ``Qwen2VLImageProcessor`` of transformers does, in their own precision.

    The processor rounds a picture to 8 bits before and after it is resized, and computes in float32.

    Attributes:
        side: height and width of a patch, in pixels.
        merged: patches along each side of the square that becomes one token.
        frames: how often a patch is repeated in time.
        fewest, most: bounds of the number of pixels of a picture.
        mean, std: of red, green and blue in [0, 1].
    """

    side: int
    merged: int
    frames: int
    fewest: int
    most: int
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def size(self, height: int, width: int) -> tuple[int, int]:
        """The height and the width to which pictures are resized.

        Raises:
            ValueError: if one side is more than 200 times as long as the other.
        """
        smart_resize = library("transformers.models.qwen2_vl.image_processing_qwen2_vl").smart_resize
        return smart_resize(height, width, self.side * self.merged, self.fewest, self.most)

    def __call__(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Patches and grids of pictures of one size.

        Args:
            pictures: ``(B, 3, H, W)`` in [-1, 1]; values outside are clamped, as in :mod:`fmtt.rewards.t2i.pixels`.

        Returns:
            Patches ``(B * h * w, 3 * frames * side * side)``, and ``(1, h, w)`` for each picture, ``(B, 3)``.

        Raises:
            ValueError: if the samples are no pictures in colour.
        """
        shown = visible(pictures.to(torch.promote_types(pictures.dtype, torch.float32)))
        height, width = self.size(*pictures.shape[2:])
        mean, std = (shown.new_tensor(colours)[:, None, None] for colours in (self.mean, self.std))
        grid = torch.tensor([1, height // self.side, width // self.side], device=pictures.device)
        return self.cut((resized(shown, height, width) - mean) / std), grid.expand(len(pictures), 3)

    def cut(self, pictures: Tensor) -> Tensor:
        """Patches row by row of squares of ``merged ** 2``, and in each square row by row."""
        square = (-1, self.merged, self.side)
        split = pictures.unflatten(3, square).unflatten(2, square)  # (B, 3, rows, m, p, columns, m, p)
        ordered = split.permute(0, 2, 5, 3, 6, 1, 4, 7).flatten(0, 4)  # (patches, 3, p, p)
        return ordered[:, :, None].expand(-1, -1, self.frames, -1, -1).flatten(1)


def patches_of(processor: Any, max_pixels: int | None) -> Patches:
    """The settings of an image processor of transformers, with another upper bound unless ``max_pixels`` is None.

    Raises:
        ValueError: if ``max_pixels`` is less than the lower bound.
    """
    fewest = processor.size["shortest_edge"]
    most = processor.size["longest_edge"] if max_pixels is None else max_pixels
    whole_number("reward.max_pixels", most, fewest)
    return Patches(
        processor.patch_size, processor.merge_size, processor.temporal_patch_size, fewest, most,
        tuple(processor.image_mean), tuple(processor.image_std),
    )  # fmt: skip
