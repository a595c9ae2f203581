"""Randomness as a function of its key.

Every draw is named by (seed, group, step, purpose), so a result does not depend on the chunk size, on how groups
are spread over processes, or on what else was drawn. The generator is counter based (Philox, 128-bit key), and
numbers are made on the CPU so that they are the same on every device.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.random import Generator, Philox
from torch import Tensor


def generator(*key: int | str) -> Generator:
    """The NumPy generator that belongs to ``key``: equal keys give equal streams, different keys unrelated ones."""
    digest = hashlib.blake2b(repr(key).encode(), digest_size=16).digest()
    return Generator(Philox(key=int.from_bytes(digest, "little")))


def normal(shape: Sequence[int], *key: int | str, device: torch.device | str = "cpu") -> Tensor:
    """Standard normal numbers, float32, of the given shape, from the stream of ``key``."""
    draws = generator(*key).standard_normal(tuple(shape), dtype=np.float32)
    return torch.from_numpy(draws).to(device, non_blocking=True)


def uniform(shape: Sequence[int], *key: int | str, device: torch.device | str = "cpu") -> Tensor:
    """Uniform numbers in [0, 1), float64, of the given shape, from the stream of ``key``."""
    draws = generator(*key).random(tuple(shape))
    return torch.from_numpy(draws).to(device, non_blocking=True)


@dataclass(frozen=True)
class Noise:
    """The draws of one run: a stream for each (seed, group, step, purpose).

    Attributes:
        seed: the seed of the run.
        groups: the numbers of the groups that this process holds; group g draws the same on every process.
        device: where the numbers are wanted.
        dtype: the type of normal numbers, which are drawn in float32.
    """

    seed: int
    groups: tuple[int, ...]
    device: torch.device | str = "cpu"
    dtype: torch.dtype = torch.float32

    def normal(self, shape: Sequence[int], step: int, purpose: str) -> Tensor:
        """Standard normals ``(G, *shape)``, for all groups of one step."""
        out = np.empty((len(self.groups), math.prod(shape)), dtype=np.float32)
        for row, group in zip(out, self.groups, strict=True):
            generator(self.seed, group, step, purpose).standard_normal(out=row, dtype=np.float32)
        return torch.from_numpy(out).reshape(-1, *shape).to(self.device, self.dtype, non_blocking=True)

    def uniform(self, shape: Sequence[int], step: int, purpose: str) -> Tensor:
        """Uniforms in [0, 1), ``(G, *shape)`` in float64, for all groups of one step."""
        out = np.empty((len(self.groups), math.prod(shape)))
        for row, group in zip(out, self.groups, strict=True):
            generator(self.seed, group, step, purpose).random(out=row)
        return torch.from_numpy(out).reshape(-1, *shape).to(self.device, non_blocking=True)

    def signs(self, shape: Sequence[int], step: int, purpose: str) -> Tensor:
        """Independent +-1, ``(G, *shape)`` in float32, for all groups of one step."""
        return 1 - 2 * (self.uniform(shape, step, purpose) < 0.5).float()
