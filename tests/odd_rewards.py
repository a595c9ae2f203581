"""Rewards that do what a reward must not, as users write them by mistake."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor


def first(x: Tensor) -> Tensor:
    return x.flatten(1)[:, 0]


def stop(x: Tensor) -> Tensor:
    sys.exit("enough")


KINDS: dict[str, Callable[[Tensor], Any]] = {
    "shape": lambda x: first(x)[:-1],
    "column": lambda x: first(x)[:, None],
    "detached": lambda x: first(x).detach(),
    "list": lambda x: first(x).tolist(),
    "number": lambda x: 1.0,
    "none": lambda x: None,
    "complex": lambda x: first(x) + 1j,
    "raising": lambda x: first(x) + {}["missing"],
    "exit": stop,
    "undefined": lambda x: first(x) * float("nan"),
}


@dataclass
class Odd:
    """A good reward for the first ``good`` calls, and then one of :data:`KINDS`."""

    kind: str
    good: int = 0
    scale: float = 1.0
    calls: int = field(default=0, init=False)

    def __call__(self, x: Tensor) -> Any:
        self.calls += 1
        return first(x) if self.calls <= self.good else KINDS[self.kind](x)


@dataclass
class Changing:
    """Changes the samples that it is given."""

    scale: float = 1.0

    def __call__(self, x: Tensor) -> Tensor:
        value = first(x).clone()
        if not x.requires_grad:
            x.mul_(2)
        return value


@dataclass
class Relative:
    """How far a sample is above the mean of its batch."""

    scale: float = 1.0
    size: float = 1.0

    def __call__(self, x: Tensor) -> Tensor:
        return self.size * (first(x) - first(x).mean())


@dataclass
class ByChance:
    scale: float = 1.0

    def __call__(self, x: Tensor) -> Tensor:
        return first(x) + torch.randn(len(x))


@dataclass
class Killing:
    """Kills its process if the seed of the run is 1, as the system does for lack of memory."""

    seed: int
    scale: float = 1.0

    def __call__(self, x: Tensor) -> Tensor:
        if self.seed == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return first(x)
