"""What is true of scenes: whether objects are there, how many, and where they stand."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from fmtt.data.captions import Caption, Group
from fmtt.data.scenes import SIZE, Scenes

MARGIN = 2.0  # pixels by which objects must be apart for a relation
EDGE = 0.4  # share of the picture that "at the top" and the like mean


@dataclass(frozen=True)
class Things:
    """Objects of B scenes, each in one of S slots.

    Attributes:
        shape, colour: numbers, ``(B, S)``; -1 in slots without an object.
        x, y: places in pixels, ``(B, S)``.
    """

    shape: Tensor
    colour: Tensor
    x: Tensor
    y: Tensor

    @staticmethod
    def of(scenes: Scenes) -> Things:
        """Those that were drawn."""
        return Things(scenes.shape, scenes.colour, scenes.x, scenes.y)

    @property
    def count(self) -> Tensor:
        """How many there are, ``(B,)``."""
        return (self.shape >= 0).sum(1)

    def take(self, which: Tensor) -> Things:
        """Those of the scenes ``which (C,)``."""
        return Things(**{name: value[which] for name, value in vars(self).items()})


def shown(caption: Caption, things: Things) -> Tensor:
    """Which scenes show what the caption says and nothing else, ``(B,)``."""
    kinds = [members(group, things) for group in caption.groups]
    total = sum(group.count for group in caption.groups)
    counts = [kind.sum(1) == group.count for kind, group in zip(kinds, caption.groups, strict=True)]
    fits = torch.stack([*counts, things.count == total]).all(0)
    if caption.relation is not None:
        fits = fits & related(caption.relation, torch.stack(kinds[:-1]).any(0), kinds[-1], things)
    if caption.place is not None:
        fits = fits & placed(caption.place, torch.stack(kinds).any(0), things)
    return fits


def members(group: Group, things: Things) -> Tensor:
    """Which objects are of the kind of a group, ``(B, S)``."""
    alike = things.shape == group.shape
    return alike if group.colour is None else alike & (things.colour == group.colour)


def related(relation: str, ones: Tensor, others: Tensor, things: Things, margin: float = MARGIN) -> Tensor:
    """Whether all objects ``ones (B, S)`` stand in the relation to all ``others``, and there are some, ``(B,)``."""
    value = forward(relation, things)
    last = torch.where(ones, value, -torch.inf).amax(1)
    first = torch.where(others, value, torch.inf).amin(1)
    return (last + margin < first) & ones.any(1) & others.any(1)


def placed(place: str, ones: Tensor, things: Things, margin: float = 0.0) -> Tensor:
    """Whether all objects ``ones (B, S)`` are at that side of the picture, and there are some, ``(B,)``."""
    value = forward(place, things)
    edge = EDGE * SIZE if place in ("left", "above") else (EDGE - 1) * SIZE
    return (torch.where(ones, value, -torch.inf).amax(1) + margin < edge) & ones.any(1)


def forward(direction: str, things: Things) -> Tensor:
    """Coordinates ``(B, S)`` that are smaller the further an object is in a direction: left, right, above or below."""
    value = things.x if direction in ("left", "right") else things.y
    return value if direction in ("left", "above") else -value
