"""Rendered analog clocks of varying style. Most of them show about ten past ten, as clocks in advertisements do.

A time is a number of minutes after twelve, in [0, 720).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

HALF_DAY = 720.0
TEN_PAST_TEN = 610.0
DRAWS = 13  # uniform numbers that determine the looks of one clock
Range = tuple[float, float]


@dataclass(frozen=True)
class Looks:
    """The looks of clocks: ranges of uniform draws, one draw for each clock. Lengths are in half widths of the image.

    Attributes:
        radius: of the face.
        shift: of the centre, in both directions.
        minute_hand, hour_hand: lengths, in radii of the face.
        minute_width, hour_width: half widths of the hands.
        face, ground, ink: brightness, in [-1, 1].
        bare: share of clocks without marks; of the others, half have four marks and half have twelve.
    """

    radius: Range = (0.8, 0.94)
    shift: Range = (-0.05, 0.05)
    minute_hand: Range = (0.74, 0.86)
    hour_hand: Range = (0.42, 0.54)
    minute_width: Range = (0.03, 0.055)
    hour_width: Range = (0.06, 0.1)
    face: Range = (0.6, 1.0)
    ground: Range = (-0.7, 0.3)
    ink: Range = (-1.0, -0.7)
    bare: float = 0.2


@dataclass(frozen=True)
class Times:
    """The law of the time: a mixture of a normal law around ten past ten and the uniform law on the dial.

    Attributes:
        bias: share of the normal law.
        spread: standard deviation of the normal law, in minutes; it is wrapped around the dial.
    """

    bias: float = 0.75
    spread: float = 10.0

    def draw(self, uniforms: Tensor) -> Tensor:
        """Times ``(B,)`` from uniform numbers ``(B, 2)``."""
        which, where = uniforms.unbind(1)
        usual = TEN_PAST_TEN + self.spread * math.sqrt(2) * torch.erfinv((2 * where - 1).clamp(-0.999999, 0.999999))
        return torch.where(which < self.bias, usual, HALF_DAY * where) % HALF_DAY

    def density(self, times: Tensor) -> Tensor:
        """Probability per minute at ``times (B,)``; float64."""
        away = (times.double() - TEN_PAST_TEN + HALF_DAY / 2) % HALF_DAY - HALF_DAY / 2
        normal = torch.exp(-((away / self.spread) ** 2) / 2) / (self.spread * math.sqrt(2 * math.pi))
        return self.bias * normal + (1 - self.bias) / HALF_DAY

    def within(self, time: float, minutes: float) -> float:
        """The probability of a time at most ``minutes`` away from ``time``."""
        away = (time - TEN_PAST_TEN + HALF_DAY / 2) % HALF_DAY - HALF_DAY / 2
        low, high = ((away + end) / self.spread / math.sqrt(2) for end in (-minutes, minutes))
        return self.bias * (math.erf(high) - math.erf(low)) / 2 + (1 - self.bias) * 2 * minutes / HALF_DAY


def render(times: Tensor, uniforms: Tensor, looks: Looks, size: int) -> Tensor:
    """Clocks that show ``times (B,)``, with looks from ``uniforms (B, DRAWS)``; ``(B, 1, size, size)`` in [-1, 1]."""
    draws = iter(uniforms.to(times)[:, :, None, None].unbind(1))

    def pick(ends: Range) -> Tensor:
        return ends[0] + (ends[1] - ends[0]) * next(draws)

    axis, pixel = centres(size).to(times), 2 / size
    x, y = axis[None, :] - pick(looks.shift), -axis[:, None] - pick(looks.shift)
    radius, ink = pick(looks.radius), pick(looks.ink)
    image = mix(pick(looks.ground), pick(looks.face), covered(radius - torch.hypot(x, y), pixel))
    rim = covered(0.03 + 0.02 * next(draws) - (torch.hypot(x, y) - radius).abs(), pixel)
    marks = covered(mark(x, y, next(draws), looks.bare, radius), pixel)
    image = mix(image, ink, torch.maximum(rim, marks))
    short = hand(x, y, times / HALF_DAY, radius, pick(looks.hour_hand), pick(looks.hour_width))
    long = hand(x, y, times / 60, radius, pick(looks.minute_hand), pick(looks.minute_width))
    return mix(image, ink, covered(torch.maximum(short, long), pixel))[:, None]


def centres(size: int) -> Tensor:
    """The centres of the pixels of a row ``(size,)``, in [-1, 1]."""
    return (torch.arange(size) + 0.5) * 2 / size - 1


def mix(below: Tensor, above: Tensor, share: Tensor) -> Tensor:
    return below + share * (above - below)


def covered(depth: Tensor, pixel: float) -> Tensor:
    """The share of each pixel inside a shape, from the depth of its centre inside the shape."""
    return (depth / pixel + 0.5).clamp(0, 1)


def hand(x: Tensor, y: Tensor, turns: Tensor, radius: Tensor, length: Tensor, width: Tensor) -> Tensor:
    """The depth of the pixels ``x, y`` inside a hand ``turns (B,)`` clockwise from twelve; ``length`` is in radii."""
    angle = 2 * math.pi * turns[:, None, None]
    along, across = x * angle.sin() + y * angle.cos(), x * angle.cos() - y * angle.sin()
    return bar(along, across, -0.1 * radius, length * radius, width)


def bar(along: Tensor, across: Tensor, start: Tensor, end: Tensor, width: Tensor | float) -> Tensor:
    """The depth inside a bar with round ends, on the axis ``along``; ``width`` is half its width."""
    beyond = along - torch.minimum(torch.maximum(along, start), end)
    return width - torch.hypot(beyond, across)


def mark(x: Tensor, y: Tensor, kind: Tensor, bare: float, radius: Tensor) -> Tensor:
    """The depth inside the marks of the dial. As ``kind`` grows from 0 to 1 there are none, then four, then twelve.

    There are none below ``bare``, and twelve from ``(1 + bare) / 2`` on.
    """
    sector = torch.where(kind < (1 + bare) / 2, math.pi / 2, math.pi / 6)
    angle = (torch.atan2(x, y) + sector / 2) % sector - sector / 2
    distance = torch.hypot(x, y)
    depth = bar(distance * angle.cos(), distance * angle.sin(), 0.88 * radius, 0.96 * radius, 0.025)
    return torch.where(kind < bare, -torch.ones_like(depth), depth)
