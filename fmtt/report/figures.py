"""The pictures of a run: samples and curves, at which a person looks first, and the samples that it returns."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import MaxNLocator
from PIL import Image

from fmtt.report.arrange import by_weight, in_place, normalised, shown, with_selected
from fmtt.run_folder import Array

BASE, TILTED, BEST, ESS, LOG_Z, RESAMPLED = "#64748b", "#2563eb", "#b45309", "#0f766e", "#7c3aed", "#dc2626"
# neighbours differ in lightness too, for those who see no hues; what dies out is paler than all of them
FAMILIES = (TILTED, "#fbbf24", ESS, "#f9a8d4", LOG_Z, "#86efac", RESAMPLED, "#7dd3fc")
EXTINCT = ("#e2e8f0", "#cbd5e1")
INK, FAINT, FRAME = "#0f172a", "#475569", (220, 38, 38)
DPI, BLOCK, GAP = 100, 640, 4  # pixels: size of a block of pictures, space between them


@dataclass(frozen=True)
class Panel:
    """Samples ``(G, N, *D)`` with log-weights ``(G, N)`` under a title."""

    title: str
    samples: Array
    log_weights: Array


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
    figure.savefig(path, dpi=DPI)


def _pictures(tilted: Panel, base: Panel | None, selected: Array, ancestors: Array | None) -> Figure:
    groups, particles = tilted.log_weights.shape
    limit = 64 if tilted.samples.shape[-1] <= 96 else 16
    groups, particles = shown(groups, particles, limit)
    index = by_weight(tilted.log_weights)
    if ancestors is None:
        ancestors = np.broadcast_to(np.arange(index.shape[1]), index.shape)
    index, place = with_selected(in_place(index, ancestors)[:groups, :particles], selected[:groups])
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


def is_picture(shape: Sequence[int]) -> bool:
    """Whether samples of ``shape`` are pictures ``(C, H, W)`` in grey or colour."""
    return len(shape) == 3 and shape[0] in (1, 3)


def in_colour(pictures: Array) -> Array:
    """Pictures ``(M, C, H, W)`` in [-1, 1] as uint8 ``(M, H, W, 3)``."""
    pixels = np.rint(np.clip((pictures + 1) * 127.5, 0, 255)).astype(np.uint8)
    return np.broadcast_to(pixels, (len(pixels), 3, *pixels.shape[2:])).transpose(0, 2, 3, 1)


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
        Image.fromarray(pixels).save(folder / f"{number}.png")


def mosaic(pictures: Array, framed: Collection[int] = ()) -> Array:
    """Pictures ``(M, C, H, W)`` in [-1, 1] on a near-square grid, uint8 ``(height, width, 3)``.

    Small pictures are enlarged by a whole factor, so every pixel stays crisp; large ones are reduced.
    """
    count, _, height, width = pictures.shape
    columns = math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    pixels = in_colour(pictures)
    room = BLOCK // columns
    if room >= width:
        factor = round(room / width)
        pixels = pixels.repeat(factor, axis=1).repeat(factor, axis=2)
    else:
        size = (room, max(1, room * height // width))
        pixels = np.stack(
            [np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS)) for picture in pixels]
        )
    height, width = pixels.shape[1:3]
    out = np.full((rows * (height + GAP) + GAP, columns * (width + GAP) + GAP, 3), 255, np.uint8)
    for number, picture in enumerate(pixels):
        top, left = GAP + number // columns * (height + GAP), GAP + number % columns * (width + GAP)
        if number in framed:
            out[top - GAP : top + height + GAP, left - GAP : left + width + GAP] = FRAME
        out[top : top + height, left : left + width] = picture
    return out


def _axes(columns: int, rows: int, size: tuple[float, float], sharey: bool) -> tuple[Figure, list[Axes]]:
    layout = ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.14, wspace=0.03, rect=(0, 0, 1, 0.985))
    figure = Figure(figsize=size, dpi=DPI, facecolor="white", layout=layout)
    grid = figure.subplots(rows, columns, sharex=True, sharey=sharey, squeeze=False)
    for axes in grid.flat:
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(color="#e2e8f0", linewidth=0.8)
        axes.set_axisbelow(True)
        axes.tick_params(labelsize=10, colors=FAINT)
    return figure, list(grid.flat)


def _scatter(tilted: Panel, base: Panel | None, selected: Array) -> Figure:
    """The first two coordinates; the area of a point is its weight."""
    panels = [tilted] if base is None else [base, tilted]
    figure, grid = _axes(len(panels), 1, (6.6 * len(panels), 7.2), sharey=True)
    clouds = [panel.samples.reshape(*panel.samples.shape[:2], -1)[..., :2] for panel in panels]
    everything = np.concatenate([cloud.reshape(-1, 2) for cloud in clouds])
    low, high = np.nanmin(everything, axis=0), np.nanmax(everything, axis=0)
    half = max(0.54 * float((high - low).max()), 1e-6)
    size = float(np.clip(20000 / math.prod(tilted.log_weights.shape), 6, 60))
    for number, (axes, panel, cloud) in enumerate(zip(grid, panels, clouds, strict=True)):
        if base is not None and panel is tilted:
            x, y = clouds[0].reshape(-1, 2).T
            axes.scatter(x, y, s=size / 2, color="#cbd5e1", linewidths=0, label="base model", rasterized=True)
        share = np.minimum(normalised(panel.log_weights.astype(float)) * panel.log_weights.shape[1], 25)
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
    figure, (axes,) = _axes(1, 1, (9, 5), sharey=True)
    panels = [(tilted, TILTED)] if base is None else [(base, BASE), (tilted, TILTED)]
    everything = np.concatenate([panel.samples.ravel() for panel, _ in panels])
    edges = np.linspace(np.nanmin(everything), np.nanmax(everything) + 1e-9, 41)
    for panel, color in panels:
        weights = normalised(panel.log_weights.astype(float)).ravel()
        arguments: dict[str, Any] = {"bins": edges, "weights": weights, "density": True, "color": color}
        axes.hist(panel.samples.ravel(), alpha=0.35, **arguments)
        axes.hist(panel.samples.ravel(), histtype="step", linewidth=1.8, label=panel.title, **arguments)
    axes.legend(fontsize=11, framealpha=0.9, edgecolor="#e2e8f0")
    axes.set_xlabel("$x$", fontsize=12)
    axes.set_ylabel("density", fontsize=12)
    return figure


def save_curves(path: Path, history: Mapping[str, Array], base_reward: float = math.nan) -> None:
    """Reward, ESS and log Z over the sampling time, with a red mark wherever a population was resampled.

    Args:
        path: the PNG to write.
        history: columns ``(steps,)``; a panel whose columns are missing or hold no number is left out.
        base_reward: mean reward of the base model, drawn as a line.
    """
    known = {name: column for name, column in history.items() if np.isfinite(column).any()}
    panels = [
        ("reward", [("reward/mean", "mean", TILTED), ("reward/max", "best", BEST)]),
        ("ESS / N", [("ess", "ESS / N", ESS)]),
        ("log Z", [("log_z", "log Z", LOG_Z)]),
    ]
    panels = [(title, [line for line in lines if line[0] in known]) for title, lines in panels]
    panels = [(title, lines) for title, lines in panels if lines]
    figure, grid = _axes(1, max(1, len(panels)), (9, 0.9 + 2.5 * max(1, len(panels))), sharey=False)
    t = history.get("t", np.zeros(0))
    marks = t[history["resampled"] > 0] if "resampled" in history else t[:0]
    for axes, (title, lines) in zip(grid, panels, strict=False):
        for mark in marks:
            axes.axvline(mark, color=RESAMPLED, linewidth=0.9, alpha=0.3)
        for name, label, color in lines:
            axes.plot(t, known[name], color=color, linewidth=2, label=label)
        if title == "reward" and math.isfinite(base_reward):
            axes.axhline(base_reward, color=BASE, linewidth=1.6, linestyle=(0, (5, 3)), label="base model, mean")
        if title == "ESS / N":
            axes.set_ylim(0, 1.05)
            axes.plot(marks, np.full(len(marks), 0.03), "^", color=RESAMPLED, markersize=7, label="resampled")
        if len(axes.get_legend_handles_labels()[0]) > 1:
            axes.legend(fontsize=10, loc="best", framealpha=0.9, edgecolor="#e2e8f0")
        axes.set_ylabel(title, fontsize=12, color=INK)
        axes.yaxis.set_major_locator(MaxNLocator(5))
    grid[-1].set_xlabel("sampling time $t$  (0 noise, 1 data)", fontsize=12, color=INK)
    grid[-1].set_xlim(0, 1)
    figure.savefig(path, dpi=DPI)
