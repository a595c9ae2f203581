"""The page that compares runs with prompts, in Chromium: results and pictures of a category or of one prompt."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from fmtt import run_folder
from fmtt.report.comparison.page import write_page
from fmtt.report.comparison.runs import find_runs
from tests.browser.chromium import needs_chromium, visit
from tests.browser.comparison import SEEN
from tests.run_folder import make_run

pytestmark = [needs_chromium, pytest.mark.slow]

TEXTS, CATEGORIES = ["a red star", "two <b>cats</b>", "a blue star"], ["colours", "counting", "colours"]
RIGHT = {"search": [0.5, 0.25, 1.0], "beam": [0.0, 0.75, 0.5]}  # of each prompt
RESULTS = """
const results = () => Object.fromEntries(column("groups", "mode").map((mode, k) =>
  [mode, column("groups", "right, returned")[k]]));
const links = cell => [...cell.querySelectorAll("img")].map(one => one.getAttribute("src"));
const shown = () => [...byId("told").tBodies[0].rows].map(row =>
  [...row.cells].map(cell => cell.querySelector("img") ? links(cell) : cell.textContent));
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two modes, three prompts with two groups each; the pictures are there."""
    folder = tmp_path_factory.mktemp("compare") / "sweep"
    for number, (mode, right) in enumerate(RIGHT.items()):
        names = {"right/selected": sum(right) / 3, "right/selected/stderr": 0.1, "nfe/weighted/group": 64}
        run = make_run(folder / str(number), (3, 8, 8), (f"mode={mode}",), groups=6, metrics=names)
        parts = [{"right/selected": value, "right/selected/stderr": 0.25} for value in right]
        run_folder.write_prompts(run, TEXTS, CATEGORIES, parts)
        said = [{"group": k, "prompt": k // 2, "reward": -1.0, "right": float(k % 2)} for k in range(6)]
        run_folder.write_returned(run, said)
        (run / "pictures").mkdir()
        for group in range(6):
            (run / "pictures" / f"{group}.png").write_bytes(b"")
    return write_page(folder / "compare.html", *find_runs([folder]))


def test_results_are_those_of_the_chosen_prompts(page: Path) -> None:
    script = """
    await choose("quality", "right/selected");
    const answers = [];
    for (const value of ["", "category colours", "prompt 1"]) {
      byId("prompts").value = value;
      byId("prompts").dispatchEvent(new Event("input", {bubbles: true})); await settle();
      answers.push([results(), lines("compare").map(one => [one.name, one.y[0], one.error_y.array[0]]),
                    byId("curves-note").textContent]);
    }
    return [answers, [...byId("prompts").options].map(one => one.text)];
    """
    (answers, menu), console = visit(page, SEEN + RESULTS + script)
    assert [line for line in console if "ERR_" not in line] == []
    assert menu == ["all prompts", "category: colours", "category: counting", *TEXTS]
    whole, colours, counting = answers
    assert whole[0] == {"beam": "0.42 ± 0.10", "search": "0.58 ± 0.10"}
    error = 0.25 / math.sqrt(2)
    assert colours[1] == [["mode=beam", 0.25, pytest.approx(error)], ["mode=search", 0.75, pytest.approx(error)]]
    assert counting[1] == [["mode=beam", 0.75, 0.25], ["mode=search", 0.25, 0.25]]
    assert counting[0] == {"beam": "0.75 ± 0.25", "search": "0.25 ± 0.25"}
    assert whole[2] == "" and counting[2] == "Curves are means over all prompts."


def test_pictures_of_the_chosen_prompts_stand_side_by_side(page: Path) -> None:
    script = """
    const before = shown();
    byId("prompts").value = "category colours";
    byId("prompts").dispatchEvent(new Event("input", {bubbles: true})); await settle();
    const colours = shown(), verdicts = [...byId("told").querySelectorAll("figcaption")].map(one => one.textContent);
    const heads = [...byId("told").tHead.rows[0].cells].map(one => one.textContent);
    await click(document.querySelector("#filters [type=reset]"));
    return [before, heads, colours, verdicts, shown(), byId("told-note").textContent];
    """
    (before, heads, colours, verdicts, after, note), _ = visit(page, SEEN + RESULTS + script)
    assert before == after == [] and note.startswith("Choose a category or a prompt")
    assert heads == ["", TEXTS[0], TEXTS[2]]
    assert colours == [
        ["mode=beam", ["1/pictures/0.png", "1/pictures/1.png"], ["1/pictures/4.png", "1/pictures/5.png"]],
        ["mode=search", ["0/pictures/0.png", "0/pictures/1.png"], ["0/pictures/4.png", "0/pictures/5.png"]],
    ]
    assert verdicts == ["right \N{BALLOT X}", "right \N{CHECK MARK}"] * 4
