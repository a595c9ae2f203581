"""The exact judge: reads shapes, colours, counts and places from pixels by image analysis, without a network.

The ground is a plane fitted to the pixels of little colour. What differs from it falls into connected pieces. Of each
piece the colour is the nearest of the palette, area and centroid give size and place, and the shape is the one whose
rendering differs least from it. A picture in which a piece fits nothing well is broken, and is not judged.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from fmtt.data.captions import Caption
from fmtt.data.clocks import covered
from fmtt.data.scene_facts import Things, shown
from fmtt.data.scenes import DEPTHS, PALETTE, SLOTS, Depth

PIECES = SLOTS + 2  # the most pieces that are looked at
FOREGROUND = 0.22  # distance from the ground, in RGB, from which on a pixel belongs to a piece
SPECK = 4.0  # pixels below which a piece is noise
MISFIT = 0.09  # largest squared difference between a piece and its shape, in units of its area; clean: .01
LEAD = 0.02  # by how much the next best shape must fit worse; clean: .047 at least
HUE = 0.30  # largest distance between the colour of a piece and that of the palette, in RGB


class Reading(NamedTuple):
    """What was read from B pictures.

    Attributes:
        things: the pieces, as objects.
        broken: pictures that are not judged, ``(B,)``.
    """

    things: Things
    broken: Tensor


@torch.no_grad()
def read(pictures: Tensor) -> Reading:
    """What is in ``pictures (B, 3, H, W)``, pixels in [-1, 1]."""
    rgb = ((pictures.float() + 1) / 2).clamp(0, 1)
    away = rgb - ground_of(rgb)
    distance = away.norm(dim=1)
    labels = pieces(distance > FOREGROUND)
    masks, sizes = largest(labels)
    weight = masks * distance[:, None]
    heart = weight * (weight >= 0.8 * weight.amax((2, 3), keepdim=True))  # where the object covers the pixel
    paint = torch.einsum("bphw,bchw->bpc", heart, rgb) / heart.sum((2, 3)).clamp_min(1e-6)[..., None]
    hue, colour = torch.cdist(paint, PALETTE.to(paint).expand(len(paint), -1, -1)).min(2)
    share = shares(rgb, away, paint, masks)
    area = share.sum((2, 3)).clamp_min(1e-6)
    axis = torch.arange(rgb.shape[-1], device=rgb.device) + 0.5
    x, y = (torch.einsum("bphw,w->bp", part, axis) / area for part in (share, share.transpose(2, 3)))
    misfit = torch.stack([misfits(share, depth, x, y, area, axis) for depth in DEPTHS])
    (least, second), shape = misfit.topk(2, dim=0, largest=False).values, misfit.argmin(0)
    real = sizes > 0
    strange = real & ((least > MISFIT) | (second - least < LEAD) | (hue > HUE) | (sizes < 2 * SPECK))
    broken = strange.any(1) | (real.sum(1) > SLOTS) | ~real.any(1)
    return Reading(Things(torch.where(real, shape, -1), torch.where(real, colour, -1), x, y), broken)


def ground_of(rgb: Tensor) -> Tensor:
    """The plane through the colours of the ground, ``(B, 3, H, W)``: least squares, twice, without what stands out."""
    batch, _, height, width = rgb.shape
    down, across = torch.meshgrid(
        *(torch.linspace(-1, 1, n, device=rgb.device) for n in (height, width)), indexing="ij"
    )
    basis = torch.stack([torch.ones_like(across), across, down]).flatten(1).T  # (HW, 3)
    pixels = rgb.flatten(2).transpose(1, 2)  # (B, HW, 3)
    plain = (rgb.amax(1) - rgb.amin(1)).flatten(1) < 0.14
    plane = pixels
    for limit in (0.25, 0.1):
        weight = plain.float()[..., None]
        gram = torch.einsum("nk,bnl->bkl", basis, weight * basis) + 1e-4 * torch.eye(3, device=rgb.device)
        plane = basis @ torch.linalg.solve(gram, torch.einsum("nk,bnc->bkc", basis, weight * pixels))
        plain = plain & ((pixels - plane).norm(dim=2) < limit)
    return plane.transpose(1, 2).reshape(batch, 3, height, width)


def pieces(mask: Tensor) -> Tensor:
    """Numbers of the connected pieces of ``mask (B, H, W)``, same shape; 0 outside. Neighbours share a side."""
    height, width = mask.shape[1:]
    labels = (torch.arange(1, height * width + 1, device=mask.device).reshape(height, width) * mask).float()
    while True:
        padded = F.pad(labels, (1, 1, 1, 1))
        around = [padded[:, 1:-1, :-2], padded[:, 1:-1, 2:], padded[:, :-2, 1:-1], padded[:, 2:, 1:-1]]
        spread = torch.stack([labels, *around]).amax(0) * mask
        if torch.equal(spread, labels):
            return labels.long()
        labels = spread


def largest(labels: Tensor) -> tuple[Tensor, Tensor]:
    """The largest pieces as masks ``(B, PIECES, H, W)``, and their sizes ``(B, PIECES)``, 0 for none."""
    flat = labels.flatten(1)
    counts = torch.zeros(len(flat), flat.shape[1] + 1, device=flat.device)
    counts.scatter_add_(1, flat, torch.ones_like(counts[:, 1:]))
    counts[:, 0] = 0
    sizes, which = counts.topk(PIECES, dim=1)
    sizes = torch.where(sizes >= SPECK, sizes, 0)
    return (labels[:, None] == which[:, :, None, None]) & (sizes > 0)[:, :, None, None], sizes


def shares(rgb: Tensor, away: Tensor, paint: Tensor, masks: Tensor) -> Tensor:
    """How much of each pixel each piece covers, ``(B, PIECES, H, W)``; pixels next to a piece count, too."""
    near = F.max_pool2d(masks.float(), 3, 1, 1)
    ground = rgb - away
    span = paint[..., None, None] - ground[:, None]
    cover = (span * away[:, None]).sum(2) / span.square().sum(2).clamp_min(1e-3)
    return near * cover.clamp(0, 1)


def misfits(share: Tensor, depth: Depth, x: Tensor, y: Tensor, area: Tensor, axis: Tensor) -> Tensor:
    """Squared difference between pieces and a shape of equal area and place, in units of the area, ``(B, PIECES)``."""
    radius = (area / unit_area(depth)).sqrt()
    across, down = axis - x[..., None, None], axis[:, None] - y[..., None, None]
    across, down = torch.broadcast_tensors(across, down)
    drawn = covered(depth(across, down, radius[..., None, None]), 1.0)
    return (share - drawn).square().sum((2, 3)) / area


@cache
def unit_area(depth: Depth) -> float:
    """The area of a shape of size 1."""
    axis = (torch.arange(400) + 0.5) / 100 - 2
    across, down = torch.meshgrid(axis, axis, indexing="xy")
    return (depth(across, down, torch.tensor(1.0)) > 0).float().mean().item() * 16


def judge(captions: Sequence[Caption], reading: Reading) -> Tensor:
    """For each picture, whether it shows what its caption says, ``(B,)``; a broken one does not."""
    verdicts = torch.zeros_like(reading.broken)
    for caption in set(captions):
        rows = torch.tensor([k for k, one in enumerate(captions) if one == caption], device=verdicts.device)
        verdicts[rows] = shown(caption, reading.things.take(rows))
    return verdicts & ~reading.broken
