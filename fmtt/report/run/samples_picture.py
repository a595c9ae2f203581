"""The picture of a run's samples, and a picture of each sample that it returns."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from fmtt.files import whole
from fmtt.report.common.palette import BASE, FAINT, INK, RESAMPLED, TILTED
from fmtt.report.common.pixels import in_colour, is_picture, mosaic
from fmtt.report.common.placement import (
    at_places_of_ancestors,
    drawn_by_weight,
    how_many_fit,
    normalised_weights,
    with_selected,
)
from fmtt.report.run.axes import DPI, grid_of_axes
from fmtt.run_folder import Array


@dataclass(frozen=True)
class Panel:
    """Samples ``(G, N, *D)`` with log-weights ``(G, N)`` under a title."""

    title: str
    samples: Array
    log_weights: Array

    def of(self, index: Array) -> Panel:
        """The samples ``index (G, M)`` of each group."""
        columns = index[(...,) + (None,) * (self.samples.ndim - 2)]
        samples = np.take_along_axis(self.samples, columns, axis=1)
        return Panel(self.title, samples, np.take_along_axis(self.log_weights, index, axis=1))


def save_samples(path: Path, tilted: Panel, base: Panel | None, selected: Array, ancestors: Array | None) -> None:
    """Base and tilted samples side by side: pictures ``(C, H, W)``, points, or histograms, as D says.

    Args:
        path: the PNG to write.
        tilted, base: the samples; those at equal indices come from the same noise. The base may be unknown.
        selected: the particle returned for each group, ``(G,)``.
        ancestors: the particle at t = 0 from which each descends, ``(G, N)``; by default itself.
    """
    shape = tilted.samples.shape[2:]
    if is_picture(shape):
        figure = _pictures(tilted, base, selected, ancestors)
    elif math.prod(shape) == 1:
        figure = _histograms(tilted, base)
    else:
        figure = _scatter(tilted, base, selected)
    with whole(path) as partial:
        figure.savefig(partial, dpi=DPI)


def _pictures(tilted: Panel, base: Panel | None, selected: Array, ancestors: Array | None) -> Figure:
    groups, particles = tilted.log_weights.shape
    if ancestors is not None and ancestors.max() >= particles:  # groups have become smaller
        base, ancestors = None if base is None else base.of(ancestors), None
    limit = 64 if tilted.samples.shape[-1] <= 96 else 16
    groups, particles = how_many_fit(groups, particles, limit)
    index = drawn_by_weight(tilted.log_weights)
    if ancestors is None:
        ancestors = np.broadcast_to(np.arange(index.shape[1]), index.shape)
    index, place = with_selected(at_places_of_ancestors(index, ancestors)[:groups, :particles], selected[:groups])
    chosen = np.take_along_axis(tilted.samples[:groups], index[(...,) + (None,) * 3], axis=1)
    framed = set((np.arange(groups) * particles + place).tolist()) if particles > 1 else set()
    blocks = [(tilted.title, mosaic(chosen.reshape(-1, *chosen.shape[2:]), framed))]
    if base is not None:
        pictures = base.samples[:groups, :particles]
        blocks.insert(0, (base.title, mosaic(pictures.reshape(-1, *pictures.shape[2:]))))
    height, width = blocks[0][1].shape[:2]
    margin, between, above, below = 24, 44, 56, 44 if framed or base is not None else 20
    total = (2 * margin + len(blocks) * width + (len(blocks) - 1) * between, above + height + below)
    figure = Figure(figsize=(total[0] / DPI, total[1] / DPI), dpi=DPI, facecolor="white")
    for number, (title, block) in enumerate(blocks):
        left = margin + number * (width + between)
        figure.figimage(block, left, below, origin="upper")
        _text(figure, left, below + height + 16, title, total, 15, INK, "bold")
    stayed = np.take_along_axis(ancestors[:groups], index, axis=1) == np.arange(particles)
    same = "equal places: the same noise" + ("" if stayed.all() else ", or a copy that took its place")
    notes = [same] if base is not None else []
    notes += ["red frame: the sample returned for its group"] if framed else []
    _text(figure, margin, 15, " · ".join(notes), total, 10.5, FAINT, "normal")
    return figure


def _text(
    figure: Figure, x: float, y: float, text: str, total: tuple[int, int], size: float, color: str, weight: str
) -> None:
    figure.text(x / total[0], y / total[1], text, fontsize=size, color=color, fontweight=weight, va="bottom")


def save_returned(folder: Path, samples: Array, selected: Array) -> None:
    """The sample that is returned for each group, ``0.png``, ``1.png``, ..., pixel by pixel, if samples are pictures.

    Args:
        folder: where to; it is made.
        samples: ``(G, N, *D)``.
        selected: the index of the particle, ``(G,)``.
    """
    if not is_picture(samples.shape[2:]):
        return
    folder.mkdir(exist_ok=True)
    for number, pixels in enumerate(in_colour(samples[np.arange(len(samples)), selected])):
        with whole(folder / f"{number}.png") as partial:
            Image.fromarray(pixels).save(partial)


def _scatter(tilted: Panel, base: Panel | None, selected: Array) -> Figure:
    """The first two coordinates; the area of a point is its weight."""
    panels = [tilted] if base is None else [base, tilted]
    figure, grid = grid_of_axes(len(panels), 1, (6.6 * len(panels), 7.2), sharey=True)
    clouds = [panel.samples.reshape(*panel.samples.shape[:2], -1)[..., :2] for panel in panels]
    everything = np.concatenate([cloud.reshape(-1, 2) for cloud in clouds])
    low, high = np.nanmin(everything, axis=0), np.nanmax(everything, axis=0)
    half = max(0.54 * float((high - low).max()), 1e-6)
    size = float(np.clip(20000 / math.prod(tilted.log_weights.shape), 6, 60))
    for number, (axes, panel, cloud) in enumerate(zip(grid, panels, clouds, strict=True)):
        if base is not None and panel is tilted:
            x, y = clouds[0].reshape(-1, 2).T
            axes.scatter(x, y, s=size / 2, color="#cbd5e1", linewidths=0, label="base model", rasterized=True)
        share = np.minimum(normalised_weights(panel.log_weights.astype(float)) * panel.log_weights.shape[1], 25)
        color = TILTED if panel is tilted else BASE
        x, y = cloud.reshape(-1, 2).T
        axes.scatter(x, y, s=size * share.ravel(), color=color, alpha=0.55, linewidths=0, label="area: weight")
        if panel is tilted:
            x, y = cloud[np.arange(len(selected)), selected].T
            axes.scatter(x, y, s=90, facecolors="none", edgecolors=RESAMPLED, linewidths=1.6, label="returned")
            figure.legend(
                *axes.get_legend_handles_labels(), loc="outside lower right", ncols=3, fontsize=11, frameon=False
            )
        axes.set_title(panel.title, loc="left", fontsize=15, fontweight="bold", color=INK)
        axes.set_aspect("equal")
        axes.set_xlim((low[0] + high[0]) / 2 - half, (low[0] + high[0]) / 2 + half)
        axes.set_ylim((low[1] + high[1]) / 2 - half, (low[1] + high[1]) / 2 + half)
        axes.set_xlabel("$x_1$", fontsize=12)
        axes.set_ylabel("$x_2$" if number == 0 else "", fontsize=12)
    return figure


def _histograms(tilted: Panel, base: Panel | None) -> Figure:
    figure, (axes,) = grid_of_axes(1, 1, (9, 5), sharey=True)
    panels = [(tilted, TILTED)] if base is None else [(base, BASE), (tilted, TILTED)]
    everything = np.concatenate([panel.samples.ravel() for panel, _ in panels])
    edges = np.linspace(np.nanmin(everything), np.nanmax(everything) + 1e-9, 41)
    for panel, color in panels:
        weights = normalised_weights(panel.log_weights.astype(float)).ravel()
        arguments: dict[str, Any] = {"bins": edges, "weights": weights, "density": True, "color": color}
        axes.hist(panel.samples.ravel(), alpha=0.35, **arguments)
        axes.hist(panel.samples.ravel(), histtype="step", linewidth=1.8, label=panel.title, **arguments)
    axes.legend(fontsize=11, framealpha=0.9, edgecolor="#e2e8f0")
    axes.set_xlabel("$x$", fontsize=12)
    axes.set_ylabel("density", fontsize=12)
    return figure
