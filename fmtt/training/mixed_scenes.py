"""Pictures between two scenes, on which a network learns graded answers (as mixup, arXiv 1710.09412)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from fmtt.data.scenes import COLOURS, SHAPES, Scenes

RECOLOURED, RESHAPED = 0.5, 0.75  # below the first number an object gets another colour, below the second another shape


def altered(scenes: Scenes, generator: np.random.Generator) -> Scenes:
    """The same scenes, but in each of them one object has another colour or another shape, or is gone.

    An object that is alone is never gone.
    """
    present = scenes.present
    number = present.sum(1)
    slot = (torch.from_numpy(generator.random(len(number))) * number).long()[:, None]
    what = torch.from_numpy(generator.random(len(number)))[:, None]
    what = torch.where(number[:, None] > 1, what, what * RESHAPED)
    chosen = torch.zeros_like(present).scatter_(1, slot, True)
    colour = (scenes.colour + turns(len(COLOURS), number, generator)) % len(COLOURS)
    shape = (scenes.shape + turns(len(SHAPES), number, generator)) % len(SHAPES)
    recoloured, gone = chosen & (what < RECOLOURED), chosen & (what >= RESHAPED)
    reshaped = chosen & ~recoloured & ~gone
    return replace(
        scenes,
        shape=torch.where(reshaped, shape, scenes.shape).masked_fill(gone, -1),
        colour=torch.where(recoloured, colour, scenes.colour).masked_fill(gone, -1),
    )


def turns(kinds: int, rows: Tensor, generator: np.random.Generator) -> Tensor:
    """How far to go on in a list of ``kinds`` entries, never back to the same one, ``(B, 1)``."""
    return torch.from_numpy(generator.integers(1, kinds, len(rows)))[:, None]


def between(first: Tensor, second: Tensor, share: Tensor) -> Tensor:
    """``share first + (1 - share) second``; ``first`` and ``second`` are ``(B, ...)``, ``share`` is ``(B,)``."""
    share = share.reshape(-1, *[1] * (first.ndim - 1))
    return share * first + (1 - share) * second
