"""The film, the ancestry and the weights on a run's page are right about the numbers that they come from."""

from __future__ import annotations

import base64
import io
import json

import numpy as np
import plotly.graph_objects as go
import pytest
from PIL import Image

from fmtt.report import write_artefacts
from fmtt.report.common.palette import EXTINCT, FAMILIES
from fmtt.report.run.ancestry import GROUPS, PLACES, ancestry, families, ribbons, survivors
from fmtt.report.run.film import BARS, BLIND, film
from fmtt.report.run.film_frames import FRAME, LEVELS, PICTURE, contact_sheet, counts_in_bins, data_uri, extent
from fmtt.report.run.weights import LEAST, MOST, bins, tick_text, ticks, weights
from tests.run_folder import PARTICLES, make_film, make_run, resampled

RANDOM = np.random.default_rng(0)


def frames_of(x: np.ndarray, landing: np.ndarray | None = None) -> dict[str, np.ndarray]:
    unknown = np.full_like(x, np.nan)
    return {"t": np.linspace(0, 1, len(x)), "x": x, "landing": unknown if landing is None else landing}


def data_of(script: str) -> dict:
    """What a script draws: the value of its first constant."""
    return json.loads(script.split("= ", 1)[1].split(";\n", 1)[0])


def decoded(source: str) -> np.ndarray:
    with Image.open(io.BytesIO(base64.b64decode(source.split(",", 1)[1]))) as picture:
        return np.asarray(picture.convert("RGB")).astype(int)


def test_a_sheet_has_every_pixel_at_its_place():
    pictures = np.where(RANDOM.random((2, 3, 1, 4, 5)) < 0.5, -1.0, 1.0)
    pictures[1, 2] = np.nan
    pixels, height = contact_sheet(pictures)
    assert height == 4 + 1 + 4 and pixels.shape == (2 * height, 5 + 1 + 5, 1)
    for frame in range(2):
        for number, (top, left) in enumerate([(0, 0), (0, 6), (5, 0)]):
            found = pixels[frame * height + top :, left:][:4, :5, 0]
            picture = pictures[frame, number, 0]
            expected = np.where(picture > 0, 255, 0) if np.isfinite(picture).all() else np.full((4, 5), 227)
            assert np.array_equal(found, expected), (frame, number)
        rest = pixels[frame * height :][:height, :, 0]
        assert (rest[4] == 255).all() and (rest[:, 5] == 255).all() and (rest[5:, 6:] == 255).all()


@pytest.mark.parametrize(("count", "shape"), [(1, (1, 256, 128)), (16, (3, 100, 300)), (16, (3, 64, 64))])
def test_large_pictures_are_reduced(count, shape):
    pictures = np.full((2, count, *shape), -1.0)
    pictures[:, :, :, : shape[1] // 2] = 1.0
    pixels, height = contact_sheet(pictures)
    columns = round(count**0.5)
    tall, wide = (height + 1) // columns - 1, (pixels.shape[1] + 1) // columns - 1
    assert max(tall, wide) == min(PICTURE, FRAME // columns, max(shape))
    assert tall / wide == pytest.approx(shape[1] / shape[2], rel=0.03)
    assert (pixels[: tall // 2 - 1, :wide] == 255).all() and (pixels[tall // 2 + 1 : tall, :wide] == 0).all()


def test_a_grey_sheet_is_inlined_to_the_nearest_level():
    pixels = RANDOM.integers(0, 256, (40, 30, 1), dtype=np.uint8)
    pixels[0, :2, 0] = 0, 255
    found = decoded(data_uri(pixels))
    assert found.shape == (40, 30, 3) and (found == found[..., :1]).all()
    assert np.abs(found - pixels).max() <= 255 / (LEVELS - 1) / 2 + 0.5
    assert found[0, :2, 0].tolist() == [0, 255]


def test_a_sheet_of_colours_is_about_right():
    pictures = np.zeros((2, 1, 3, 16, 16))
    pictures[0, 0, 0], pictures[1, 0, 2] = 1, -1
    pixels, height = contact_sheet(pictures)
    found = decoded(data_uri(pixels))
    assert found.shape == pixels.shape == (2 * height, 16, 3)
    assert np.abs(found - pixels).max() < 8


def test_a_film_of_noise_adds_little_to_a_page():
    noise = RANDOM.standard_normal((25, 4, 4, 1, 28, 28))
    assert 150e3 < sum(map(len, film(frames_of(noise, noise)))) < 550e3


def test_bars_count_what_is_finite():
    values = np.array([[0.1, 0.2, 0.9, np.nan], [0.6, np.inf, 0.4, 1.0]])
    assert counts_in_bins(values, np.array([0.0, 0.5, 1.0])).tolist() == [[2, 1], [1, 2]]


def test_the_extent_has_a_margin():
    assert extent(np.array([0.0, 10.0, np.nan, np.inf])) == pytest.approx((-0.4, 10.4))
    assert extent(np.array([2.0, 2.0])) == pytest.approx((1.5, 2.5))
    assert extent(np.array([np.nan])) == pytest.approx((-0.5, 0.5))


def test_a_film_of_points_draws_the_first_two_coordinates():
    x, landing = RANDOM.standard_normal((2, 3, 2, 2, 4)).astype(np.float16)
    landing[0] = np.nan
    place, script = film(frames_of(x, landing))
    data = data_of(script)
    assert "4 particles, 2 of each of 2 groups." in place and BLIND not in place
    assert [len(go.Figure(data["traces"], data["layout"]).data), len(data["frames"])] == [3, 3]
    ways, there, here = data["frames"][2]
    for axis, name in enumerate("xy"):
        assert here[name] == pytest.approx(x[2, ..., axis].ravel().tolist(), rel=1e-3)
        assert there[name] == pytest.approx(landing[2, ..., axis].ravel().tolist(), rel=1e-3)
        assert ways[name] == [value for pair in zip(here[name], there[name], strict=True) for value in (*pair, None)]
    assert data["frames"][0][1]["x"] == [None] * 4
    (low, high), everything = data["layout"]["xaxis"]["range"], np.concatenate([x.ravel(), landing[1:].ravel()])
    assert low < everything.reshape(-1, 4)[:, 0].min() and high > everything.reshape(-1, 4)[:, 0].max()


def test_a_film_of_numbers_draws_histograms():
    x = np.array([0.0, 0.0, 1.0, 4.0]).reshape(2, 1, 2, 1)
    data = data_of(film(frames_of(x))[1])
    (first,), (last,) = ([trace["y"] for trace in frame] for frame in data["frames"])
    centres = data["traces"][0]["x"]
    assert len(go.Figure(data["traces"], data["layout"]).data) == 1 and len(centres) == len(first) == BARS
    width = centres[1] - centres[0]
    assert [(round(centre / width), count) for centre, count in zip(centres, first, strict=True) if count] == [(0, 2)]
    assert [centre for centre, count in zip(centres, last, strict=True) if count] == pytest.approx([1, 4], abs=width)


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 8, 8), (2,), (1,)])
def test_a_film_without_a_look_ahead_says_so(shape):
    place, script = film(frames_of(RANDOM.standard_normal((3, 1, 2, *shape))))
    assert BLIND in place and '<p class="soft">2 particles.' in place
    data = data_of(script)
    assert len(data.get("sheets", data.get("traces"))) == 1 and place.count("<canvas") == ("sheets" in data)


@pytest.mark.parametrize("shape", [(4, 4), (4, 8, 8), ()])
def test_there_is_no_film_of_what_cannot_be_looked_at(shape):
    assert film(frames_of(np.zeros((3, 1, 2, *shape)))) == ("", "")


def test_a_single_frame_is_no_film():
    assert film(frames_of(np.zeros((1, 1, 2, 2)))) == film({}) == ("", "")


def test_survivors_are_counted():
    ancestors = np.array([[[0, 1, 2, 3], [3, 2, 1, 0]], [[2, 0, 2, 0], [1, 1, 1, 1]]])
    assert survivors(ancestors).tolist() == [[4, 4], [2, 1]]
    many = RANDOM.integers(0, 50, (7, 3, 40))
    assert survivors(many).tolist() == [[len(set(group)) for group in frame] for frame in many.tolist()]


def test_families_that_die_out_are_grey():
    found = families(np.array([[0, 1, 2, 3, 4], [0, 2, 2, 2, 4]]))
    assert (found < len(EXTINCT)).tolist() == [False, True, False, True, False]
    assert len(set(found.tolist())) == 5, "neighbours of a kind have different colours"
    many = families(np.tile(np.arange(100), (2, 1)))
    assert set(many.tolist()) == set(range(len(EXTINCT), len(EXTINCT) + len(FAMILIES)))


def test_ribbons_are_sorted_by_ancestor():
    places, rows = ribbons(np.array([[3, 1, 2, 0], [2, 2, 0, 2]]))
    assert places.tolist() == [1, 2, 3, 4] and rows.T.tolist() == [[0, 1, 2, 3], [0, 2, 2, 2]]
    places, rows = ribbons(np.arange(1000)[None])
    assert len(places) == PLACES and (rows[:, 0] == places - 1).all()
    assert places[0] - 1 == pytest.approx(1000 - places[-1], abs=1) and set(np.diff(places)) <= {7, 8}


def test_the_ancestry_of_each_group_is_drawn():
    own = resampled(frames=5, groups=2)
    place, script = ancestry(np.linspace(0, 1, 5), own)
    assert "descend from 2 of those of t = 0 on average (1 to 3 in 2 groups)" in place
    assert place.count("<option") == 2 and "0.25</td>" in place
    data = data_of(script)
    for number, (mean, line, ribbon) in enumerate(data["groups"]):
        assert len(go.Figure([mean, line, ribbon], data["layout"]).data) == 3
        assert line["y"] == [6, 6, 3, 3, 1 if number == 0 else 3] and mean["y"] == [6, 6, 3, 3, 2]
        assert np.array_equal(np.array(ribbon["customdata"]).T, np.sort(own[:, number], axis=1))
        colours = np.array(ribbon["z"])
        assert ((colours >= len(EXTINCT)) == np.isin(ribbon["customdata"], own[-1, number])).all()


def test_one_group_is_not_chosen_and_of_many_the_first():
    place, script = ancestry(np.linspace(0, 1, 5), resampled(groups=1))
    assert "<select" not in place and f"all {PARTICLES} particles descend from 1 of those" in place
    assert len(data_of(script)["groups"][0]) == 2, "no mean over a single group"
    place, script = ancestry(np.linspace(0, 1, 5), resampled(groups=GROUPS + 1))
    assert f"the first {GROUPS} of {GROUPS + 1}" in place and len(data_of(script)["groups"]) == GROUPS


def test_where_nothing_was_resampled_a_sentence_says_so():
    permuted = np.array([[[0, 1, 2]], [[2, 0, 1]]])
    place, script = ancestry(np.array([0.0, 1.0]), permuted)
    assert place.startswith("<p>Nothing was ever resampled") and script == ""


def test_weights_are_counted_by_their_logarithm():
    multiples = np.array([[0.011, 0.09, 0.99, 1.0, 1.01, 9.5], [10**-9.0, 0.0, 1.0, 1.0, 2.0, 0.5]])
    edges, counts = bins(multiples)
    assert counts.sum() == multiples.size and len(edges) == len(counts) + 1 <= MOST + 2
    assert np.allclose(np.diff(edges), edges[1] - edges[0]) and np.isclose(edges, 0).sum() == 1
    logs = np.log10(np.maximum(multiples, 10**LEAST))
    for low, high, count in zip(edges[:-1], edges[1:], counts, strict=True):
        assert ((logs >= low - 1e-9) & (logs < high - 1e-9)).sum() == count, (low, high)
    assert counts[0] == 2


@pytest.mark.parametrize("spread", [0.001, 0.3, 2.0, 20.0, 500.0])
def test_a_histogram_has_neither_few_nor_many_bars(spread):
    counts = bins(np.exp(spread * np.linspace(-1, 0.02, 1000)))[1]  # no multiple is above N
    assert counts.sum() == 1000 and len(counts) <= MOST + 1
    assert spread < 0.1 or len(counts) >= 10


def test_ticks_are_round():
    assert ticks(-1.1, 0.4) == pytest.approx([0.1, 0.2, 0.5, 1, 2])
    assert [tick_text(tick) for tick in ticks(-0.8, 1.1)] == ["0.2", "0.5", "1", "2", "5", "10"]
    assert tick_text(1e-6) == "10<sup>\N{MINUS SIGN}6</sup>"
    assert ticks(-6.0, 1.0) == pytest.approx([10.0**power for power in range(-6, 2)])


def test_the_effective_number_of_particles_is_in_words():
    place, script = weights(np.log(np.array([[0.5, 0.5, 1e-30, 1e-30], [0.25, 0.25, 0.25, 0.25]])))
    assert "as much as 3 equal ones of 4 in a group, on average over 2 groups" in place
    assert "The first bar holds all that are lighter than 0.000001 too." in place
    _, (trace,), layout = json.loads(script.replace("plot(", "[", 1).removesuffix(");") + "]")
    assert len(go.Figure([trace], layout).data) == 1
    assert sum(trace["y"]) == 8 and layout["shapes"][0]["x0"] == 0
    at_mean = [count for centre, count in zip(trace["x"], trace["y"], strict=True) if 0 < centre < trace["width"]]
    assert at_mean == [4], "weights of 1 stand just right of the line"


@pytest.mark.parametrize("log_weights", [np.zeros((2, 5)), np.full((3, 4), -700.0), np.array([[1.0], [2.0]])])
def test_equal_weights_are_a_sentence(log_weights):
    place, script = weights(log_weights)
    assert place.startswith("<p>All weights are equal") and script == ""


@pytest.mark.parametrize("shape", [(1, 12, 12), (3, 8, 8), (2,), (1,), (4, 4)])
def test_a_page_shows_the_film_that_its_folder_holds(tmp_path, shape):
    folder = make_run(tmp_path / "run", shape)
    bare = write_artefacts(folder).read_text(encoding="utf-8")
    assert "<h2>Film</h2>" not in bare and "<h2>Ancestry</h2>" not in bare and "<h2>Weights</h2>" in bare
    x, landing = RANDOM.standard_normal((2, 5, 2, 3, *shape))
    page = write_artefacts(make_film(folder, x, landing, resampled())).read_text(encoding="utf-8")
    assert ("<h2>Film</h2>" in page) == (shape != (4, 4)) and "<h2>Ancestry</h2>" in page
