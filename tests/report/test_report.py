"""Pictures and pages are made from the files of a run folder, and are right about them."""

from __future__ import annotations

import csv
import json
import math
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
import pytest
from PIL import Image

from fmtt.flow.meter import COUNTS
from fmtt.report import summarise, write_artefacts
from fmtt.report.common.estimates import estimate, text_of
from fmtt.report.common.metric_titles import COSTS
from fmtt.report.common.pixels import FRAME, GAP, mosaic
from fmtt.report.common.placement import at_places_of_ancestors, drawn_by_weight, how_many_fit, with_selected
from fmtt.report.comparison.kinds import average, differing
from fmtt.report.comparison.run_summary import parse_overrides
from fmtt.report.comparison.sweep import read_sweep
from fmtt.report.run import charts
from fmtt.report.run.samples_picture import save_returned
from fmtt.run_folder import read_history, read_metrics
from tests.run_folder import STEPS, make_run


class Page(HTMLParser):
    """What a page would fetch, its visible text, and its pictures."""

    def __init__(self, text: str):
        super().__init__()
        self.fetched: list[str] = []
        self.alternatives: list[str] = []
        self.identifiers: list[str] = []
        self.words: list[str] = []
        self.rows = 0
        self._silent = False
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        self.fetched += [
            value or "" for name, value in attributes if name in ("src", "href", "action", "data", "srcset")
        ]
        self.alternatives += [given.get("alt") or ""] if tag == "img" else []
        self.identifiers += [given["id"] or ""] if "id" in given else []
        self.rows += tag == "tr"
        self._silent = tag in ("script", "style")

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self.words.append(data)

    def handle_endtag(self, tag: str) -> None:
        self._silent = False

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def read_page(path: Path) -> Page:
    page = Page(path.read_text(encoding="utf-8"))
    assert not [
        link for link in page.fetched if not link.startswith("data:") and (":" in link or link.startswith("//"))
    ], "the page needs a network"
    assert all(page.alternatives), "a picture without an alternative text"
    assert len(set(page.identifiers)) == len(page.identifiers)
    return page


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 16, 24), (3, 128, 128), (2,), (1,), (5,), (4, 4)])
@pytest.mark.parametrize("base", [True, False])
def test_artefacts_of_every_kind_of_sample(tmp_path, shape, base):
    folder = make_run(tmp_path / "run", shape, base=base)
    page = write_artefacts(folder)
    assert page == folder / "report.html"
    for name in ("samples.png", "curves.png"):
        with Image.open(folder / name) as picture:
            width, height = picture.size
        assert 300 <= width <= 2000 and 300 <= height <= 2000
    assert "search with flowmap4: symmetry on gmm" in read_page(page).text


def test_the_page_says_what_the_files_say(tmp_path):
    shares = {"classes/base": [0.1] * 10, "classes/tilted": [1.0, *[0.0] * 9], "my/metric": 0.125}
    page = read_page(write_artefacts(make_run(tmp_path / "run", metrics=shares)))
    for expected in (
        "python run.py mode=search seed=0",
        "2 groups of 6 particles, 8 steps",
        "\N{MINUS SIGN}0.250 ± 0.010",
        "my/metric 0.125",
        "Network, forward",
        "1,200",
        "</script><script>alert(1)</script>",
        '"git_commit": null',
        "100.0%",
    ):
        assert expected in page.text
    assert {"curves", "classes"} <= set(page.identifiers)
    assert any("base model: reward \N{MINUS SIGN}0.75" in text for text in page.alternatives)


def test_one_group_has_no_error_bars(tmp_path):
    page = read_page(write_artefacts(make_run(tmp_path / "run", groups=1)))
    assert "so there are no error bars" in page.text and "Reward, weighted \N{MINUS SIGN}0.25" in page.text


def test_charts_are_valid_plotly(tmp_path):
    history = read_history(make_run(tmp_path / "run"))
    drawings = [
        charts.curves(history, -0.75, "")[1],
        charts.curves({**history, "log_z": np.full(STEPS + 1, math.nan)}, math.nan, "")[1],
        charts.classes({"classes/base": [0.1] * 10, "classes/tilted": [0.1] * 10})[1],
    ]
    counts = [6, 4, 2]  # reward twice, ESS, log Z, base, resamplings; without log Z and base; two bars
    for drawing, count in zip(drawings, counts, strict=True):
        _, traces, layout = json.loads(drawing.replace("plot(", "[", 1).removesuffix(");") + "]")
        assert len(go.Figure(traces, layout).data) == count


def test_a_sweep_has_a_row_for_every_run(tmp_path):
    sweep = tmp_path / "sweep"
    for number, (kind, seed) in enumerate([("none", 0), ("none", 1), ("flowmap4", 0), ("flowmap4", 1)]):
        overrides = (f"lookahead={kind}", f"seed={seed}", "+sampler.steps=10")
        make_run(sweep / str(number), overrides=overrides, reward=-0.25 - seed / 10 + (kind == "flowmap4") / 5)
    write_artefacts(sweep / "0")
    make_run(sweep / "4", overrides=("lookahead=denoiser", "seed=0"))
    (sweep / "4" / "metrics.json").write_text("{broken")
    make_run(sweep / "5", overrides=("lookahead=exact",))
    (sweep / "5" / "metrics.json").unlink()
    make_run(sweep / "6", overrides=("lookahead=exact", "~sampler.grid"))
    (sweep / "6" / "error.txt").write_text("2 there is no <such> setting\n")
    make_run(sweep / "10", overrides=("lookahead=none", "seed=2", "+sampler.steps=10"), metrics={"new": 1.5})

    assert [line.split(":")[0] for line in summarise(sweep)] == [
        "4 lookahead=denoiser seed=0 broken",
        "6 lookahead=exact sampler.grid=deleted failed",
    ]
    page = sweep / "compare.html"
    with (sweep / "summary.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["run"] for row in rows] == ["0", "1", "2", "3", "4", "5", "6", "10"]
    assert [row["status"].split(":")[0] for row in rows] == [*["done"] * 4, "broken", "unfinished", "failed", "done"]
    assert (
        rows[2]["lookahead"] == "flowmap4" and rows[2]["sampler.steps"] == "10" and rows[6]["sampler.grid"] == "deleted"
    )
    assert float(rows[3]["reward/weighted_mean"]) == pytest.approx(-0.15)
    assert float(rows[3]["reward/weighted_mean/stderr"]) == 0.01
    assert rows[0]["nfe/forward"] == "1200" and rows[0]["log_z/mean"] == "-1.4" and rows[4]["nfe/forward"] == ""
    assert rows[0]["new"] == "" and rows[-1]["new"] == "1.5"

    text = read_page(page).text
    assert "5 runs are done, 3 are not." in text and "failed: there is no <such> setting" in text
    assert "In common: model=gmm, reward=symmetry, mode=search, sampler.steps=10." in text
    assert read_page(page).rows == 1 + 8  # eight runs; the table of groups is made by the script

    kinds = average(read_sweep(sweep))
    assert differing(kinds) == ["lookahead"] and [len(kind.runs) for kind in kinds] == [3, 2]
    assert kinds[1].estimates["reward/weighted_mean"] == pytest.approx((-0.1, 0.05))


@pytest.mark.parametrize("runs", [0, 1])
def test_a_sweep_with_nothing_done_is_not_fatal(tmp_path, runs):
    for number in range(runs):
        (tmp_path / str(number) / ".hydra").mkdir(parents=True)
    assert summarise(tmp_path) == []
    assert "0 runs are done" in read_page(tmp_path / "compare.html").text
    assert len((tmp_path / "summary.csv").read_text().splitlines()) == 1 + runs


def test_overrides_are_parsed():
    words = ["a=1", "+b=x=y", "++c=[1,2]", "~d"]
    assert parse_overrides(words) == {"a": "1", "b": "x=y", "c": "[1,2]", "d": "deleted"}


def test_estimates_of_metrics(tmp_path):
    metrics = {
        "a": [1, 2, 3],
        "b/mean": 2.0,
        "b/stderr": 0.5,
        "c": 1,
        "c/stderr": 0.25,
        "d": None,
        "e": [None, 1.0],
        "f": "x",
    }
    (tmp_path / "metrics.json").write_text(json.dumps(metrics))
    read = read_metrics(tmp_path)
    assert estimate(read, "a") == pytest.approx((2, 1 / math.sqrt(3)))
    assert estimate(read, "b/mean") == (2.0, 0.5) and estimate(read, "c") == (1, 0.25)
    assert all(math.isnan(value) for name in ("d", "e", "f", "missing") for value in estimate(read, name))


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (-0.0912, 0.0123, "\N{MINUS SIGN}0.091 ± 0.012"),
        (1234.5, 67.8, "1234 ± 68"),
        (131072, math.nan, "131,072"),
        (0.123456, math.nan, "0.1235"),
        (2.0, 0.0, "2"),
        (-1.3999999999999997, 1.6e-16, "\N{MINUS SIGN}1.4"),
        (math.nan, 0.1, "n/a"),
        (math.inf, math.nan, "inf"),
    ],
)
def test_numbers_are_written_with_the_digits_that_mean_something(value, error, text):
    assert text_of(value, error) == text


def test_the_draw_by_weight_follows_the_weights():
    log_weights = np.log(np.array([[0.5, 0.25, 0.125, 0.125], [0.1, 0.1, 0.7, 0.1]]))
    index = drawn_by_weight(log_weights)
    assert index[0].tolist() in ([0, 0, 1, 2], [0, 0, 1, 3])
    assert (index[1] == 2).sum() in (2, 3)
    assert drawn_by_weight(np.full((1, 5), -1e4)).tolist() == [[0, 1, 2, 3, 4]]
    assert drawn_by_weight(np.array([[-np.inf, 0.0, -np.inf]])).tolist() == [[1, 1, 1]]


def test_particles_stand_at_the_place_of_their_ancestor():
    index, ancestors = np.array([[0, 1, 2, 3, 3]]), np.array([[4, 4, 0, 1, 2]])
    placed = at_places_of_ancestors(index, ancestors)
    assert sorted(placed[0]) == [0, 1, 2, 3, 3], "the same particles"
    for place in (0, 1, 4):
        assert ancestors[0, placed[0, place]] == place


def test_the_selected_particle_is_shown():
    index, place = with_selected(np.array([[0, 1, 2], [3, 4, 5]]), np.array([1, 9]))
    assert index.tolist() == [[0, 1, 2], [3, 4, 9]] and place.tolist() == [1, 2]


@pytest.mark.parametrize(
    ("groups", "particles", "expected"), [(1, 500, (1, 64)), (4, 16, (4, 16)), (100, 9, (64, 1)), (3, 4, (3, 4))]
)
def test_at_most_64_pictures_are_shown(groups, particles, expected):
    assert how_many_fit(groups, particles, 64) == expected


def test_small_pictures_stay_crisp_and_the_returned_one_is_framed():
    pictures = np.where(np.random.default_rng(0).random((4, 1, 28, 28)) < 0.5, -1.0, 1.0)
    image = mosaic(pictures, {3})
    side = (image.shape[0] - 3 * GAP) // 2
    factor = side // 28
    first = image[GAP : GAP + side, GAP : GAP + side, 0]
    assert factor * 28 == side and np.array_equal(first[::factor, ::factor], np.where(pictures[0, 0] > 0, 255, 0))
    assert np.array_equal(first, first[::factor, ::factor].repeat(factor, 0).repeat(factor, 1))
    assert image[-1, -1].tolist() == list(FRAME) and image[0, 0].tolist() == [255] * 3


def test_the_returned_samples_are_saved_pixel_by_pixel(tmp_path):
    samples = np.full((2, 3, 1, 4, 5), -1.0)
    samples[1, 2, 0, 0, 4] = 1.0
    save_returned(tmp_path / "pictures", samples, np.array([0, 2]))
    first, second = (np.asarray(Image.open(tmp_path / "pictures" / f"{group}.png")) for group in range(2))
    assert first.shape == (4, 5, 3) and not first.any()
    assert second[0, 4].tolist() == [255, 255, 255] and second.sum() == 3 * 255
    save_returned(tmp_path / "points", np.zeros((2, 3, 2)), np.array([0, 2]))
    assert not (tmp_path / "points").exists()


def test_a_missing_file_is_named(tmp_path):
    folder = make_run(tmp_path / "run")
    (folder / "history.csv").unlink()
    with pytest.raises(FileNotFoundError, match=r"history\.csv"):
        write_artefacts(folder)


def test_every_kind_of_call_is_a_cost() -> None:
    assert {f"nfe/{name}" for name in COUNTS} <= COSTS.keys()
