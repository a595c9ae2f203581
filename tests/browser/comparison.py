"""A page that compares runs, and what the tests of it look at and press."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fmtt.report.comparison.page import write_page
from fmtt.report.comparison.runs import find_runs
from tests.run_folder import make_run

REWARDS = {"search": -0.2, "beam": -0.5, "fmrg": -12.5}

# What is on the page: helpers for the scripts of the tests.
SEEN = """
const settle = () => new Promise(done => setTimeout(done, 50));
const box = (setting, value) => [...document.querySelectorAll("#filters [data-setting]")].find(
  one => one.closest("fieldset").querySelector("legend").textContent === setting && one.value === value);
const group = name => document.querySelectorAll("#filters [data-group]")[NAMES.indexOf(name)];
const choose = async (id, value) => { byId(id).value = value;
                                      byId(id).dispatchEvent(new Event("change")); await settle(); };
const words = async text => { byId("words").value = text;
                              byId("words").dispatchEvent(new Event("input", {bubbles: true})); await settle(); };
const click = async one => { one.click(); await settle(); };
const rows = id => [...byId(id).tBodies[0].rows].filter(row => !row.hidden);
const column = (id, title) => { const k = [...byId(id).tHead.rows[0].cells].findIndex(one => one.textContent === title);
                                return rows(id).map(row => row.cells[k].textContent); };
const lines = chart => byId(chart).data.filter(trace => trace.meta !== "band");
const seen = () => ({
  count: byId("count").textContent,
  runs: rows("runs").map(row => row.cells[0].textContent),
  groups: rows("groups").length,
  points: lines("compare").flatMap(trace => trace.x).length,
  lines: lines("compare").map(trace => trace.name),
  curves: lines("curves").map(trace => trace.name),
  bands: byId("curves").data.length - lines("curves").length,
  pictures: [...document.querySelectorAll("#gallery > :not([hidden]) img")].map(one => one.alt),
});
await settle();
"""


def metrics(cost: float, reward: float) -> dict[str, Any]:
    found = {"nfe/weighted/group": cost, "time/method_s": cost / 100, "reward/base_mean": -14.0}
    return {**found, "reward/selected_mean": reward / 2}


def make_page(folder: Path) -> Path:
    """Three modes, two budgets, three seeds; a run that failed, one without some results, and a hostile name."""
    number = 0
    for mode, reward in REWARDS.items():
        for budget in (9, 100):
            for seed in range(3):
                value = reward + seed * 0.01 + budget / 1000
                run = make_run(
                    folder / str(number),
                    overrides=(f"mode={mode}", f"budget.nfe={budget}", f"seed={seed}"),
                    metrics=metrics(budget + seed / 2, value),
                    reward=value,
                    shift=seed / 10,
                    steps=8 if budget == 9 else 100,
                )
                if seed == 0:
                    (run / "report.html").write_text("<p>a page</p>")
                    (run / "samples.png").write_bytes(bytes.fromhex("89504e470d0a1a0a"))
                number += 1
    make_run(folder / "18", overrides=("mode=<i>odd", "budget.nfe=9", "seed=0"), metrics={"reward/max": None})
    make_run(folder / "19", overrides=("mode=beam", "budget.nfe=9", "seed=3"))
    (folder / "19" / "metrics.json").unlink()
    (folder / "19" / "error.txt").write_text("1 no memory left\n")
    common, runs = find_runs([folder])
    return write_page(folder / "compare.html", common, runs)
