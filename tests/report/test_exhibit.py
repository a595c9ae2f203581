"""What loggers are given to show is right about the run."""

import numpy as np
import pytest

from fmtt.report.common.pixels import in_colour, mosaic
from fmtt.report.run.showcase import FRAMES, frames, particle_table

RANDOM = np.random.default_rng(0)


def arrays(groups: int, particles: int, *shape: int) -> dict[str, np.ndarray]:
    """A population that has been resampled once: particle n descends from particle n // 2."""
    return {
        "samples": RANDOM.uniform(-1, 1, (groups, particles, *shape)).astype(np.float32),
        "base": RANDOM.uniform(-1, 1, (groups, particles, *shape)).astype(np.float32),
        "rewards": RANDOM.standard_normal((groups, particles)).astype(np.float32),
        "log_weights": np.zeros((groups, particles)),
        "selected": np.arange(groups),
        "ancestors": np.tile(np.arange(particles) // 2, (groups, 1)),
    }


def film(count: int, *shape: int) -> dict[str, np.ndarray]:
    """Two groups of two particles; nobody looks ahead in the first frame."""
    x = RANDOM.uniform(-1, 1, (count, 2, 2, *shape)).astype(np.float16)
    landing = -x
    landing[0] = np.nan
    return {"t": np.linspace(0, 1, count), "x": x, "landing": landing}


def test_a_row_is_a_particle_beside_the_base_sample_of_its_ancestor() -> None:
    given = arrays(2, 4, 1, 5, 6)
    columns, rows = particle_table(given)
    assert columns == ["group", "particle", "sample", "base", "reward", "weight", "returned", "ancestor"]
    assert [tuple(row[:2]) for row in rows] == [(g, n) for g in range(2) for n in range(4)]
    sample, base, *numbers = rows[7][2:]
    assert np.array_equal(sample, in_colour(given["samples"][1, 3][None])[0])
    assert np.array_equal(base, in_colour(given["base"][1, 1][None])[0])
    assert numbers == [pytest.approx(given["rewards"][1, 3]), 0.25, False, 1]
    assert [(row[0], row[1]) for row in rows if row[6]] == [(0, 0), (1, 1)]


def test_points_are_shown_by_their_coordinates() -> None:
    given = arrays(1, 3, 2)
    columns, rows = particle_table(
        {name: values for name, values in given.items() if name not in ("base", "ancestors")}
    )
    assert columns == ["group", "particle", "sample 0", "sample 1", "reward", "weight", "returned", "ancestor"]
    assert [row[2:4] for row in rows] == given["samples"][0].tolist()
    assert [row[-1] for row in rows] == [0, 1, 2]


def test_of_many_particles_the_heaviest_and_the_returned_one_are_shown() -> None:
    given = arrays(2, 100, 2)
    given["log_weights"][:, :40] = np.arange(40)
    given["selected"] = np.array([99, 39])
    rows = particle_table(given)[1]
    assert [row[1] for row in rows if row[0] == 0] == [*range(9, 40), 99]
    assert [row[1] for row in rows if row[0] == 1] == list(range(8, 40))
    assert len(particle_table(arrays(1, 100, 3, 128, 128))[1]) == 16


def test_frames_are_mosaics_spread_over_the_film() -> None:
    given = film(25, 1, 4, 4)
    made = frames(given)
    times = [t for t, _ in made["film/positions"]]
    assert (len(times), times[0], times[-1]) == (FRAMES, 0, 1)
    assert np.ptp(np.diff(times)) <= 1 / 24 + 1e-9
    pictures = given["x"][-1].astype(np.float32).reshape(4, 1, 4, 4)
    assert np.array_equal(made["film/positions"][-1][1], mosaic(pictures))
    assert np.array_equal(made["film/landings"][-1][1], mosaic(-pictures))
    assert [t for t, _ in made["film/landings"]] == times[1:]


def test_short_films_are_shown_whole_and_films_of_points_not_at_all() -> None:
    assert [t for t, _ in frames(film(3, 1, 4, 4))["film/positions"]] == [0, 0.5, 1]
    assert frames(film(3, 2)) == {}
