"""Rendered colour scenes: one to four objects on a grey ground, 32 x 32, in the world's habits.

A scene is a row of tensors, so that a batch is drawn and rendered at once. Lengths are in pixels, from the upper left
corner; y grows downwards. Pictures are ``(B, 3, size, size)`` in [-1, 1].
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from fmtt.data.clocks import covered

SHAPES = ("circle", "square", "triangle", "star")
COLOURS = ("red", "green", "blue", "yellow", "purple")
PALETTE = torch.tensor(
    [[0.86, 0.10, 0.12], [0.10, 0.62, 0.18], [0.12, 0.28, 0.88], [0.96, 0.82, 0.08], [0.58, 0.14, 0.70]]
)  # RGB in [0, 1]
SLOTS = 4  # the most objects of a scene
SIZE = 32
REACH = (1.0, 1.25, 1.35, 1.35)  # radius of the circle around each shape, in units of its size
GAP = 2.0  # pixels between the circles around two objects, at least
RADII = ((4.0, 6.0), (3.6, 5.0), (3.3, 4.3), (3.1, 3.7))  # ranges of sizes in scenes of one to four objects
MIXED = ((2, 1, 0), (1, 2, 0), (2, 1, 0), (1, 2, 0), (3, 1, 0), (1, 3, 0), (2, 2, 0))
THREE = ((1, 1, 1), (1, 1, 1), (1, 1, 1), (2, 1, 1), (1, 2, 1), (1, 1, 2))
LAYOUTS, TRIES = 8, 12  # tries to place all objects of a scene, and each of them
GROUNDS = 6  # uniform numbers that determine the ground of one scene


@dataclass(frozen=True)
class Scenes:
    """A batch of scenes.

    Attributes:
        shape, colour: numbers of :data:`SHAPES` and :data:`COLOURS`, ``(B, SLOTS)``; -1 in slots without an object.
        x, y, radius: place and size of each object, ``(B, SLOTS)``.
        tint: what is added to the colour of each object, ``(B, SLOTS, 3)``.
        ground: uniform numbers that determine the ground, ``(B, GROUNDS)``.
    """

    shape: Tensor
    colour: Tensor
    x: Tensor
    y: Tensor
    radius: Tensor
    tint: Tensor
    ground: Tensor

    @property
    def present(self) -> Tensor:
        """Which slots hold an object, ``(B, SLOTS)``."""
        return self.shape >= 0

    def take(self, which: Tensor) -> Scenes:
        """The scenes ``which (C,)``."""
        return Scenes(**{name: value[which] for name, value in vars(self).items()})


def render(scenes: Scenes, size: int = SIZE) -> Tensor:
    """Pictures of ``scenes``, ``(B, 3, size, size)`` in [-1, 1]."""
    axis = (torch.arange(size) + 0.5).to(scenes.x)
    picture = ground(scenes.ground.to(scenes.x), axis)
    for slot in range(SLOTS):
        shape, colour = scenes.shape[:, slot], scenes.colour[:, slot]
        paint = (PALETTE.to(scenes.x)[colour.clamp_min(0)] + scenes.tint[:, slot]).clamp(0, 1)
        share = coverage(shape, scenes.x[:, slot], scenes.y[:, slot], scenes.radius[:, slot], axis)
        picture = picture + share[:, None] * (paint[:, :, None, None] - picture)
    return 2 * picture - 1


def ground(uniforms: Tensor, axis: Tensor) -> Tensor:
    """Grey grounds of varying brightness with a slope and a slight tint, ``(B, 3, size, size)`` in [0, 1]."""
    level, slope, turn = 0.15 + 0.75 * uniforms[:, 0], 0.15 * uniforms[:, 1], 2 * math.pi * uniforms[:, 2]
    tint = 0.06 * (uniforms[:, 3:6] - 0.5)
    place = axis / len(axis) - 0.5
    along = turn.cos()[:, None, None] * place[None, None, :] + turn.sin()[:, None, None] * place[None, :, None]
    grey = level[:, None, None] + slope[:, None, None] * along
    return (grey[:, None] + tint[:, :, None, None]).clamp(0, 1)


def coverage(shape: Tensor, x: Tensor, y: Tensor, radius: Tensor, axis: Tensor) -> Tensor:
    """The share of each pixel inside an object, ``(B, size, size)``; zero where ``shape`` is -1."""
    across = axis[None, None, :] - x[:, None, None]
    down = axis[None, :, None] - y[:, None, None]
    across, down = torch.broadcast_tensors(across, down)
    depths = torch.stack([depth(across, down, radius[:, None, None]) for depth in DEPTHS], dim=1)
    chosen = depths.take_along_dim(shape.clamp_min(0)[:, None, None, None], dim=1)[:, 0]
    return covered(chosen, 1.0) * (shape >= 0)[:, None, None]


def circle(x: Tensor, y: Tensor, radius: Tensor) -> Tensor:
    """The depth of points inside a disc."""
    return radius - torch.hypot(x, y)


def square(x: Tensor, y: Tensor, radius: Tensor) -> Tensor:
    """The depth of points inside a square with the area of the disc."""
    return math.sqrt(math.pi) / 2 * radius - torch.maximum(x.abs(), y.abs())


def triangle(x: Tensor, y: Tensor, radius: Tensor) -> Tensor:
    """The depth of points inside an equilateral triangle that points upwards."""
    inner = REACH[2] * radius / 2
    sides = (y, -0.5 * y + math.sqrt(0.75) * x, -0.5 * y - math.sqrt(0.75) * x)
    return inner - torch.maximum(sides[0], torch.maximum(sides[1], sides[2]))


def star(x: Tensor, y: Tensor, radius: Tensor) -> Tensor:
    """The depth of points inside a star of five rays that points upwards."""
    tenth = math.pi / 5
    outer, inner = REACH[3] * radius, 0.45 * REACH[3] * radius
    angle = (torch.atan2(x, -y) + tenth).remainder(2 * tenth) - tenth  # from the axis of the nearest ray
    away = torch.hypot(x, y)
    along, aside = away * angle.cos(), away * angle.abs().sin()
    # the edge from the tip (outer, 0) to the notch inner (cos tenth, sin tenth)
    step, rise = inner * math.cos(tenth) - outer, inner * math.sin(tenth)
    return (rise * (outer - along) + step * aside) / torch.hypot(step, rise)


Depth = Callable[[Tensor, Tensor, Tensor], Tensor]
DEPTHS: tuple[Depth, ...] = (circle, square, triangle, star)


@dataclass(frozen=True)
class World:
    """The habits of the world: how many objects there are, of what kinds, and which colours go with which shapes.

    Attributes:
        kinds: shares of scenes with one object, with two different ones, with several of a kind, with two kinds of
            which one has several, and with three kinds.
        counts: shares of two, three and four objects of a kind.
        tie: how many times as likely the usual colour of a shape is as any other. The usual colour of shape k is
            colour k.
        spread: standard deviation of the place of a single object around the centre, in pixels.
        jitter: the colours of objects vary by this much, in both directions.
    """

    kinds: tuple[float, float, float, float, float] = (0.28, 0.36, 0.2, 0.08, 0.08)
    counts: tuple[float, float, float] = (0.7, 0.2, 0.1)
    tie: float = 4.0
    spread: float = 3.5
    jitter: float = 0.06

    def draw(self, count: int, generator: np.random.Generator) -> Scenes:
        """``count`` scenes."""
        groups = self.groups(count, generator)
        shape, colour = self.members(groups, generator)
        radius, x, y = self.places(shape, generator)
        tint = generator.uniform(-self.jitter, self.jitter, (count, SLOTS, 3))
        ground = generator.random((count, GROUNDS))
        kinds = {"shape": torch.from_numpy(shape), "colour": torch.from_numpy(colour)}
        looks = {"x": x, "y": y, "radius": radius, "tint": tint, "ground": ground}
        return Scenes(**kinds, **{name: torch.from_numpy(values).float() for name, values in looks.items()})

    def groups(self, count: int, generator: np.random.Generator) -> np.ndarray:
        """How many objects each kind of each scene has, ``(count, 3)``."""
        kind = generator.choice(5, count, p=np.divide(self.kinds, sum(self.kinds)))
        several = generator.choice([2, 3, 4], count, p=np.divide(self.counts, sum(self.counts)))
        one, none = np.ones_like(kind), np.zeros_like(kind)
        choices = (
            np.stack([one, none, none], 1),
            np.stack([one, one, none], 1),
            np.stack([several, none, none], 1),
            np.array(MIXED)[generator.integers(len(MIXED), size=count)],
            np.array(THREE)[generator.integers(len(THREE), size=count)],
        )
        return np.stack(choices, 1)[np.arange(count), kind]

    def members(self, groups: np.ndarray, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Shape and colour of each slot, ``(count, SLOTS)`` twice; the groups of a scene differ in their kind."""
        shape = generator.integers(len(SHAPES), size=groups.shape)
        usual = generator.random(groups.shape) < self.tie / (self.tie + len(COLOURS) - 1)
        other = (shape + generator.integers(1, len(COLOURS), size=groups.shape)) % len(COLOURS)
        colour = np.where(usual, shape, other)
        for later, earlier in ((1, 0), (2, 0), (2, 1), (2, 0)):  # a kind that was there becomes the next usual one
            same = (shape[:, later] == shape[:, earlier]) & (colour[:, later] == colour[:, earlier])
            shape[same, later] = (shape[same, later] + 1) % len(SHAPES)
            colour[same, later] = shape[same, later]
        slots, ends = np.arange(SLOTS)[None], groups.cumsum(1)
        which = (slots[:, :, None] >= ends[:, None]).sum(2)
        rows = np.arange(len(groups))[:, None]
        absent, which = which == 3, which.clip(max=2)
        return np.where(absent, -1, shape[rows, which]), np.where(absent, -1, colour[rows, which])

    def places(self, shape: np.ndarray, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Size and place of each object, ``(count, SLOTS)`` each, so that none touch.

        Objects are placed one after the other, each at the free one of ``TRIES`` places, or at the freest. Of
        ``LAYOUTS`` such layouts the freest is taken.
        """
        present = shape >= 0
        number = present.sum(1)
        low, high = (np.array([ends[side] for ends in RADII])[number - 1][:, None] for side in (0, 1))
        radius = low + (high - low) * generator.random(shape.shape)
        reach = np.where(present, np.array(REACH)[shape], 0) * radius
        layouts = [self.layout(present, reach, generator) for _ in range(LAYOUTS)]
        freest = np.stack([free for _, free in layouts]).argmax(0)
        place = np.stack([place for place, _ in layouts])[freest, np.arange(len(shape))] + SIZE / 2
        return radius, place[..., 0], place[..., 1]

    def layout(
        self, present: np.ndarray, reach: np.ndarray, generator: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Places from the centre ``(count, SLOTS, 2)``, and the smallest distance beyond the gap, at most 0."""
        count, rows = len(reach), np.arange(len(reach))
        room = SIZE / 2 - 1 - reach
        place, least = np.zeros((count, SLOTS, 2)), np.zeros(count)
        for slot in range(SLOTS):
            shape, limit = (count, TRIES, 2), room[:, None, slot, None]
            draws = limit * generator.uniform(-1, 1, shape)
            if slot == 0:
                central = np.clip(self.spread * generator.standard_normal(shape), -limit, limit)
                draws = np.where((present.sum(1) == 1)[:, None, None], central, draws)
            apart = np.linalg.norm(draws[:, :, None] - place[:, None, :slot], axis=-1)
            free = (apart - reach[:, None, slot, None] - reach[:, None, :slot] - GAP).min(2, initial=0.0)
            chosen = free.argmax(1)
            place[:, slot] = draws[rows, chosen]
            least = np.where(present[:, slot], np.minimum(least, free[rows, chosen]), least)
        return place, least
