"""The comparison of very many runs: the page stays small, and its list shows a part at a time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from fmtt.report.comparison.page import write_page
from fmtt.report.comparison.runs import ComparedRun, find_runs
from tests.browser.chromium import needs_chromium, visit
from tests.browser.comparison import SEEN
from tests.run_folder import make_run


def many(folder: Path, count: int) -> tuple[Path, list[ComparedRun]]:
    """``count`` runs that differ in their seeds, all like one that is on the disk; the first has 200 steps."""
    make_run(folder / "0", overrides=("mode=search", "seed=0"), steps=200)
    common, (one,) = find_runs([folder])
    runs = []
    for seed in range(count):
        settings = {"mode": "search", "seed": str(seed)}
        summary = replace(one.summary, name=str(seed), settings=settings)
        told = replace(one.settings, typed=settings, known={**one.settings.known, "seed": str(seed)})
        runs.append(replace(one, summary=summary, settings=told))
    return common, runs


def test_a_page_of_thousands_of_runs_is_small(tmp_path: Path) -> None:
    common, runs = many(tmp_path / "runs", 3000)
    size = write_page(tmp_path / "compare.html", common, runs).stat().st_size
    assert size < 5_000_000 + 3_000 * 3000  # Plotly, and 3 kB for each run


@needs_chromium
@pytest.mark.slow
def test_the_list_shows_a_part_at_a_time(tmp_path: Path) -> None:
    common, runs = many(tmp_path / "runs", 450)
    path = write_page(tmp_path / "compare.html", common, runs)
    script = """
    const state = () => [rows("runs").length, byId("more-runs").hidden, byId("more-runs").textContent,
                         rows("runs")[0].cells[0].textContent];
    const found = [state()];
    await click(byId("more-runs")); found.push(state());
    await click(byId("more-runs")); found.push(state());
    await words("seed=44"); found.push(state());
    await words(""); found.push(state());
    const seed = [...byId("runs").tHead.rows[0].cells].find(one => one.textContent === "seed");
    await click(seed.querySelector("button")); await click(seed.querySelector("button")); found.push(state());
    return found;
    """
    (first, second, third, few, again, ordered), console = visit(path, SEEN + script)
    assert console == []
    assert first == [200, False, "200 more of 250 runs", "0"]
    assert second == [400, False, "50 more of 50 runs", "0"]
    assert third[:2] == [450, True]
    assert few[:2] == [11, True]  # 44 and 440 to 449
    assert again[:2] == [450, True]
    assert ordered[:2] == [450, True] and ordered[3] == "449"
