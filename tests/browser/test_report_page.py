"""The page of a run in a browser: its controls do what they say, and anyone can read it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fmtt.report import write_artefacts
from fmtt.report.run.ancestry import families, ribbons
from tests.browser.chromium import needs_chromium, on_phone, visit
from tests.browser.contrast import CONTRAST
from tests.run_folder import make_film, make_run, resampled

pytestmark = [needs_chromium, pytest.mark.slow]

FRAMES, SHOWN, SIDE = 6, (2, 3), 8  # of the film: frames, groups and particles, pixels

# what a script finds the parts of the film by; `white` are the numbers of the pictures of a panel that are white
FILM = """
const slider = document.getElementById("film-frame"), button = document.getElementById("film-play");
const output = document.getElementById("film-where");
const sleep = time => new Promise(done => setTimeout(done, time));
const move = frame => { slider.value = frame; slider.dispatchEvent(new Event("input", {bubbles: true})); };
const white = panel => {
  const copy = document.createElement("canvas"), shown = document.getElementById("film-" + panel);
  [copy.width, copy.height] = [shown.width, shown.height];
  const pen = copy.getContext("2d", {willReadFrequently: true});
  pen.drawImage(shown, 0, 0);
  return [0, 1, 2, 3, 4, 5].filter(number =>
    pen.getImageData(number % 3 * 9 + 4, Math.floor(number / 3) * 9 + 4, 1, 1).data[0] > 200);
};
"""


def one_by_one() -> np.ndarray:
    """A film in which picture k is white in frame k, and all the others are black."""
    white = np.eye(FRAMES).reshape(FRAMES, *SHOWN, 1, 1, 1)
    return np.broadcast_to(2 * white - 1, (FRAMES, *SHOWN, 1, SIDE, SIDE))


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with everything: the landings are the film backwards, and its groups have been resampled."""
    shares = {"classes/base": [0.1] * 10, "classes/tilted": [1.0, *[0.0] * 9]}
    folder = make_run(tmp_path_factory.mktemp("runs") / "run", (1, SIDE, SIDE), metrics=shares)
    return write_artefacts(make_film(folder, one_by_one(), one_by_one()[::-1], resampled(FRAMES)))


@pytest.mark.parametrize("shape", [(3, SIDE, SIDE), (2,), (1,)])
def test_no_film_complains(tmp_path: Path, shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).standard_normal((FRAMES, *SHOWN, *shape))
    page = write_artefacts(make_film(make_run(tmp_path / "run", shape), x, -x, resampled(FRAMES)))
    assert visit(page, FILM + "move(3); await sleep(100); return output.textContent;") == ("t = 0.60, frame 4 of 6", [])


@pytest.mark.parametrize("film", [True, False])
def test_a_page_without_a_film_does_not_complain(tmp_path: Path, film: bool) -> None:
    folder = make_run(tmp_path / "run", (4, 4))
    if film:
        make_film(folder, np.zeros((FRAMES, *SHOWN, 4, 4)), ancestors=resampled(FRAMES))
    script = "return [...document.querySelectorAll('input, select')].map(control => control.id);"
    assert visit(write_artefacts(folder), script) == (["ancestry-group"] if film else [], [])


def test_the_slider_chooses_the_frame(page: Path) -> None:
    script = """
      const seen = [], look = () => [white("x"), white("landing"), output.textContent];
      for (let wait = 0; wait < 50 && !white("landing").length; wait++) await sleep(20);
      seen.push(look());
      for (const frame of [1, 2, 3, 4, 5, 2]) { move(frame); seen.push(look()); }
      return [seen, output.textContent === slider.getAttribute("aria-valuetext")];
    """
    (seen, spoken), console = visit(page, FILM + script)
    frames = [0, 1, 2, 3, 4, 5, 2]
    assert [here for here, _, _ in seen] == [[frame] for frame in frames]
    assert [there for _, there, _ in seen] == [[FRAMES - 1 - frame] for frame in frames]
    assert [text for *_, text in seen] == [f"t = {frame / 5:.2f}, frame {frame + 1} of 6" for frame in frames]
    assert spoken and console == []


def test_the_film_plays_on_a_click_alone_and_pauses(page: Path) -> None:
    script = """
      const state = () => [Number(slider.value), button.textContent, output.getAttribute("aria-live")];
      const seen = [];
      await sleep(1000); seen.push(state());
      button.click(); await sleep(625); seen.push([...state(), output.textContent, white("x")]);
      button.click(); await sleep(1000); seen.push(state());
      button.click(); move(3); await sleep(1000); seen.push(state());
      button.click(); await sleep(2000); seen.push(state());
      button.click(); seen.push(state());
      return seen;
    """
    (before, playing, paused, moved, ended, again), console = visit(page, FILM + script)
    assert before == [0, "Play", "polite"]
    assert playing == [2, "Pause", "off", "t = 0.40, frame 3 of 6", [2]]
    assert paused == [2, "Play", "polite"], "it goes on after a click on Pause"
    assert moved == [3, "Play", "polite"], "a hand on the slider stops the film"
    assert ended == [FRAMES - 1, "Play", "polite"]
    assert again == [0, "Pause", "off"], "at the end it starts again"
    assert console == []


@pytest.mark.parametrize("shape", [(2,), (1,)])
def test_a_film_of_points_moves_its_chart(tmp_path: Path, shape: tuple[int, ...]) -> None:
    x = np.arange(FRAMES, dtype=float).reshape(FRAMES, 1, 1, 1).repeat(shape[0], -1)
    page = write_artefacts(make_film(make_run(tmp_path / "run", shape), x))
    script = """
      const seen = [], chart = document.getElementById("film-chart");
      for (const frame of [0, 4]) {
        move(frame);
        await sleep(100);
        const {x, y, type} = chart.data[0];
        seen.push(type === "bar" ? x.filter((_, k) => y[k]) : x);
      }
      return seen;
    """
    ((first,), (last,)), console = visit(page, FILM + script)
    assert [first, last] == pytest.approx([0, 4], abs=0.1) and console == []


def test_the_choice_of_a_group_draws_its_families(page: Path) -> None:
    script = """
      const choice = document.getElementById("ancestry-group"), chart = document.getElementById("ancestry");
      const drawn = () => [chart.data[1].y, chart.data[2].z, chart.querySelectorAll(".hm image").length];
      const seen = [drawn()];
      choice.value = "1"; choice.dispatchEvent(new Event("change", {bubbles: true}));
      seen.push(drawn());
      return seen;
    """
    seen, console = visit(page, script)
    own = resampled(FRAMES)
    for group, (line, colours, pictures) in enumerate(seen):
        assert line == [len(set(row)) for row in own[:, group].tolist()]
        assert np.array_equal(colours, families(own[:, group])[ribbons(own[:, group])[1]])
        assert pictures == 1
    assert seen[0] != seen[1] and console == []


def test_every_control_and_picture_has_a_name(page: Path) -> None:
    script = """
      const named = node => Boolean(node.getAttribute("aria-label")?.trim());
      const all = query => [...document.querySelectorAll(query)];
      const controls = all("main input, main select, main button, main summary");
      const reached = controls.filter(control => { control.focus(); return document.activeElement === control; });
      return {
        nameless: [
          ...all("input, select").filter(node => !node.labels.length && !named(node)),
          ...all("main button, summary").filter(node => !node.textContent.trim() && !named(node)),
          ...all("img").filter(node => !node.alt.trim()),
          ...all("canvas, [role=img]").filter(node => !named(node)),
        ].map(node => node.outerHTML.slice(0, 80)),
        counts: ["input", "select", "#film-play", "img", "canvas"].map(query => all(query).length),
        unreached: controls.length - reached.length,
      };
    """
    found = visit(page, script).answer
    assert found == {"nameless": [], "counts": [1, 1, 1, 1, 2], "unreached": 0}


def test_every_text_can_be_told_from_its_ground(page: Path) -> None:
    script = """
      for (const fold of document.querySelectorAll("details")) fold.open = true;
      const before = faint();
      document.querySelector("main").insertAdjacentHTML("beforeend", "<p style='color: #888'>pale</p>");
      document.querySelector("svg").insertAdjacentHTML("beforeend", "<text fill='#999'>grey</text>");
      return [before, faint().sort()];
    """
    assert visit(page, CONTRAST + script).answer == [[], ["grey", "pale"]]


def test_a_phone_does_not_scroll_sideways(page: Path) -> None:
    script = """
      const {document: phone, innerWidth: width} = frames[0], root = phone.documentElement;
      for (const fold of phone.querySelectorAll("details")) fold.open = true;
      const across = [...phone.querySelectorAll("canvas, .chart svg, .player > *")];
      const outside = across.filter(node => node.getBoundingClientRect().right > width + 0.5);
      return [width, root.scrollWidth, outside.length, across.length > 10];
    """
    assert visit(on_phone(page), script) == ([375, 375, 0, True], [])
