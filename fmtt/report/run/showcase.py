"""The pictures and tables of a finished run for its loggers: two pictures, frames of its film, its particles."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from fmtt.report.common.pixels import in_colour, is_picture, mosaic
from fmtt.report.common.placement import how_many_fit, normalised_weights
from fmtt.report.run.finished_run import read_finished_run
from fmtt.run_folder import CURVES_PICTURE, SAMPLES_PICTURE, Array
from fmtt.tracking import Showcase
from fmtt.tracking.showcase import TableCell

FRAMES = 6  # of the film; the first and the last are among them
COORDINATES = 8  # of a point, at most
SMALL = 96  # pixels; fewer particles are shown if pictures are wider


def read_showcase(folder: Path) -> Showcase:
    """Read the files of a finished run; its pictures must be drawn.

    Raises:
        FileNotFoundError: if one is missing; a film need not be there.
    """
    run = read_finished_run(folder)
    columns, rows = particle_table(run.arrays)
    return Showcase(
        pictures={"samples": folder / SAMPLES_PICTURE, "curves": folder / CURVES_PICTURE},
        frames=frames(run.film) if run.film else {},
        columns=columns,
        rows=rows,
        weights=normalised_weights(run.arrays["log_weights"].astype(float)),
    )


def frames(film: Mapping[str, Array]) -> dict[str, list[tuple[float, Array]]]:
    """Mosaics of ``x`` and ``landing (F, g, n, C, H, W)`` at about six of the times ``t (F,)``, if these are pictures.

    A frame without landings is left out.
    """
    if not is_picture(film["x"].shape[3:]):
        return {}
    count = len(film["t"])
    numbers = np.unique(np.linspace(0, count - 1, min(FRAMES, count)).round().astype(int))
    made = {}
    for name, label in (("x", "film/positions"), ("landing", "film/landings")):
        known = [number for number in numbers if not np.isnan(film[name][number]).any()]
        pictures = [film[name][number].astype(np.float32) for number in known]
        drawn = [mosaic(picture.reshape(-1, *picture.shape[2:])) for picture in pictures]
        if drawn:
            made[label] = [(float(film["t"][number]), picture) for number, picture in zip(known, drawn, strict=True)]
    return made


def particle_table(arrays: Mapping[str, Array]) -> tuple[list[str], list[list[TableCell]]]:
    """One row for each particle that is shown: the heaviest of each group and the one that is returned.

    The base model's sample in a row comes from the same noise as the particle's ancestor.

    Args:
        arrays: as in :data:`fmtt.run_folder.SAMPLES_ARRAYS`.
    """
    samples, base, shape = arrays["samples"], arrays.get("base"), arrays["samples"].shape[2:]
    groups, particles = arrays["rewards"].shape
    weights = normalised_weights(arrays["log_weights"].astype(float))
    returned = np.arange(particles) == arrays["selected"][:, None]
    ancestors = arrays.get("ancestors", np.broadcast_to(np.arange(particles), (groups, particles)))
    g, n = how_many_fit(groups, particles, 64 if shape[-1] <= SMALL else 16)
    heaviest = np.sort(np.argsort(-(weights + returned), axis=1, kind="stable")[:g, :n], axis=1)
    columns = ["group", "particle", *titles("sample", shape), *(titles("base", shape) if base is not None else ())]
    rows: list[list[TableCell]] = []
    for at in ((group, particle) for group in range(g) for particle in heaviest[group].tolist()):
        row = [*at, *cells(samples[at])]
        row += cells(base[at[0], ancestors[at]]) if base is not None else []
        rows.append([*row, float(arrays["rewards"][at]), float(weights[at]), bool(returned[at]), int(ancestors[at])])
    return [*columns, "reward", "weight", "returned", "ancestor"], rows


def titles(name: str, shape: tuple[int, ...]) -> list[str]:
    """The columns of :func:`cells`."""
    return [name] if is_picture(shape) else [f"{name} {number}" for number in range(min(math.prod(shape), COORDINATES))]


def cells(sample: Array) -> list[TableCell]:
    """A sample ``(*D)`` as a picture, or as its first coordinates."""
    return [in_colour(sample[None])[0]] if is_picture(sample.shape) else sample.ravel()[:COORDINATES].tolist()
