"""Reads rendered clocks without a network, by the template with the largest correlation; one template a minute."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from fmtt.data.clocks import HALF_DAY, Looks, centres, covered, hand

WITHIN = 0.68  # radius of the part of the image that is compared: the hands, without the marks
LEGIBLE = 0.85  # smallest correlation of a legible clock; all of 2,000 rendered clocks have at least .88
MINUTES = torch.arange(HALF_DAY)


class Reading(NamedTuple):
    """The times that clocks show.

    Attributes:
        times: whole minutes after twelve, ``(B,)``.
        fit: correlation with the template of that time, ``(B,)``.
    """

    times: Tensor
    fit: Tensor

    def shows(self, time: float, tolerance: float) -> Tensor:
        """Whether each is a legible clock that shows ``time`` to within ``tolerance`` minutes; ``(B,)``."""
        away = (self.times - time + HALF_DAY / 2) % HALF_DAY - HALF_DAY / 2
        return (away.abs() <= tolerance) & (self.fit >= LEGIBLE)


def middle(ends: tuple[float, float]) -> Tensor:
    return torch.tensor(sum(ends) / 2)


@dataclass(frozen=True)
class TemplateReader:
    """Reads clocks ``(B, 1, size, size)`` in [-1, 1]. It is not differentiable, and not trained.

    Attributes:
        size: height and width of the images.
        shifts: shifts of the centre that are tried in both directions, in half widths of the image.
    """

    size: int
    shifts: tuple[float, ...] = (-0.04, 0.0, 0.04)
    templates: Tensor = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        looks, axis = Looks(), centres(self.size)
        radius = middle(looks.radius)
        drawn = []
        for right in self.shifts:
            for up in self.shifts:
                x, y = axis[None, None, :] - right, -axis[None, :, None] - up
                short = hand(x, y, MINUTES / HALF_DAY, radius, middle(looks.hour_hand), middle(looks.hour_width))
                long = hand(x, y, MINUTES / 60, radius, middle(looks.minute_hand), middle(looks.minute_width))
                drawn.append(covered(torch.maximum(short, long), 2 / self.size))
        object.__setattr__(self, "templates", self.standardised(torch.stack(drawn)))

    def standardised(self, images: Tensor) -> Tensor:
        """The pixels near the centre with mean 0 and length 1; ``(*B, size, size)`` to ``(*B, P)``."""
        axis = centres(self.size)
        near = torch.hypot(axis[None, :], axis[:, None]) < WITHIN
        pixels = images[..., near.to(images.device)]
        pixels = pixels - pixels.mean(-1, keepdim=True)
        return pixels / pixels.norm(dim=-1, keepdim=True).clamp_min(1e-6)

    def __call__(self, images: Tensor) -> Reading:
        pixels = self.standardised(-images[:, 0].float())  # the hands are dark
        templates = self.templates.to(images.device)
        fits = (pixels @ templates.flatten(0, 1).T).unflatten(1, templates.shape[:2]).amax(1)
        fit, minute = fits.max(dim=1)
        return Reading(minute.to(images.dtype), fit)
