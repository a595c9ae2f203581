"""Randomness as a function of its key.

Every draw is named by (seed, group, step, purpose), so a result does not depend on the chunk size, on how groups
are spread over processes, or on what else was drawn. Numbers are made on the CPU, so that they are the same on every
device, or on the device itself.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.random import Generator, Philox
from torch import Tensor

Key = tuple[int | str, ...]


def digest(key: Key, size: int) -> int:
    """An unsigned number of ``size`` bytes that belongs to ``key``."""
    return int.from_bytes(hashlib.blake2b(repr(key).encode(), digest_size=size).digest(), "little")


def generator(*key: int | str) -> Generator:
    """The NumPy generator (Philox, 128-bit key) of ``key``: equal keys give equal streams, others unrelated ones."""
    return Generator(Philox(key=digest(key, 16)))


def normal(shape: Sequence[int], *key: int | str, device: torch.device | str = "cpu") -> Tensor:
    """Standard normal numbers, float32, of the given shape, from the stream of ``key``."""
    draws = generator(*key).standard_normal(tuple(shape), dtype=np.float32)
    return torch.from_numpy(draws).to(device, non_blocking=True)


def uniform(shape: Sequence[int], *key: int | str, device: torch.device | str = "cpu") -> Tensor:
    """Uniform numbers in [0, 1), float64, of the given shape, from the stream of ``key``."""
    draws = generator(*key).random(tuple(shape))
    return torch.from_numpy(draws).to(device, non_blocking=True)


class Draws(Protocol):
    """Where random numbers are made. Each key has a row of its own."""

    def normal(self, keys: Sequence[Key], count: int, device: torch.device | str) -> Tensor:
        """Standard normals ``(len(keys), count)``, float32, on ``device``."""
        ...

    def uniform(self, keys: Sequence[Key], count: int, device: torch.device | str) -> Tensor:
        """Uniforms in [0, 1), ``(len(keys), count)``, float64, on ``device``."""
        ...


class OnHost:
    """NumPy's Philox on the CPU: the same numbers on every device, to which they are copied."""

    def normal(self, keys: Sequence[Key], count: int, device: torch.device | str) -> Tensor:
        out = np.empty((len(keys), count), dtype=np.float32)
        for row, key in zip(out, keys, strict=True):
            generator(*key).standard_normal(out=row, dtype=np.float32)
        return torch.from_numpy(out).to(device, non_blocking=True)

    def uniform(self, keys: Sequence[Key], count: int, device: torch.device | str) -> Tensor:
        out = np.empty((len(keys), count))
        for row, key in zip(out, keys, strict=True):
            generator(*key).random(out=row)
        return torch.from_numpy(out).to(device, non_blocking=True)


class OnDevice:
    """PyTorch's generator of the device: nothing is copied, and each kind of device has numbers of its own.

    On NVIDIA GPUs it is Philox with a 64-bit key. A seed is set on the host, so that nothing waits for the device.
    """

    def normal(self, keys: Sequence[Key], count: int, device: torch.device | str) -> Tensor:
        out = torch.empty(len(keys), count, device=device)
        for row, key in zip(out, keys, strict=True):
            row.normal_(generator=seeded(key, device))
        return out

    def uniform(self, keys: Sequence[Key], count: int, device: torch.device | str) -> Tensor:
        out = torch.empty(len(keys), count, dtype=torch.float64, device=device)
        for row, key in zip(out, keys, strict=True):
            row.uniform_(generator=seeded(key, device))
        return out


def seeded(key: Key, device: torch.device | str) -> torch.Generator:
    """The PyTorch generator of ``key`` on ``device``."""
    return torch.Generator(device).manual_seed(digest(key, 8))


DRAWS: dict[str, Draws] = {"host": OnHost(), "device": OnDevice()}


@dataclass(frozen=True)
class Noise:
    """The draws of one run: a stream for each (seed, group, step, purpose).

    Attributes:
        seed: the seed of the run.
        groups: the numbers of the groups that this process holds; group g draws the same on every process.
        device: where the numbers are wanted.
        dtype: the type of normal numbers, which are drawn in float32.
        draws: where the numbers are made.
    """

    seed: int
    groups: tuple[int, ...]
    device: torch.device | str = "cpu"
    dtype: torch.dtype = torch.float32
    draws: Draws = OnHost()

    def normal(self, shape: Sequence[int], step: int, purpose: str) -> Tensor:
        """Standard normals ``(G, *shape)``, for all groups of one step."""
        drawn = self.draws.normal(self.keys(step, purpose), math.prod(shape), self.device)
        return drawn.reshape(-1, *shape).to(self.dtype)

    def uniform(self, shape: Sequence[int], step: int, purpose: str) -> Tensor:
        """Uniforms in [0, 1), ``(G, *shape)`` in float64, for all groups of one step."""
        return self.draws.uniform(self.keys(step, purpose), math.prod(shape), self.device).reshape(-1, *shape)

    def signs(self, shape: Sequence[int], step: int, purpose: str) -> Tensor:
        """Independent +-1, ``(G, *shape)`` in float32, for all groups of one step."""
        return 1 - 2 * (self.uniform(shape, step, purpose) < 0.5).float()

    def keys(self, step: int, purpose: str) -> list[Key]:
        """The key of each group's numbers of one step."""
        return [(self.seed, group, step, purpose) for group in self.groups]
