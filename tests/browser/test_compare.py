"""The page that compares runs, in Chromium: its controls do what they say, and its numbers are Python's."""

from __future__ import annotations

import math
from pathlib import Path
from urllib.parse import unquote

import pytest

from fmtt.report.common.estimates import text_of
from fmtt.report.comparison.kinds import average
from fmtt.report.comparison.page import write_page
from fmtt.report.comparison.runs import find_runs
from fmtt.report.comparison.sweep import read_sweep
from fmtt.run_folder import read_history
from tests.browser.chromium import needs_chromium, on_phone, visit
from tests.browser.comparison import SEEN, make_page, metrics
from tests.browser.contrast import CONTRAST
from tests.run_folder import make_run

pytestmark = [needs_chromium, pytest.mark.slow]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_page(tmp_path_factory.mktemp("compare") / "sweep")


def test_at_first_everything_is_shown(page: Path) -> None:
    found, console = visit(page, SEEN + "return seen();")
    assert console == []
    assert found["count"] == "20 of 20 runs shown" and len(found["runs"]) == 20
    assert found["groups"] == len(found["curves"]) == 7 and found["points"] == 6, "one has no cost, so it is no point"
    assert found["lines"] == ["mode=beam", "mode=fmrg", "mode=search"] and found["bands"] == 6
    assert len(found["pictures"]) == 6


def test_a_filter_hides_rows_and_points_and_reset_restores_them(page: Path) -> None:
    script = """
    const before = seen(), answers = [];
    await click(box("mode", "search")); answers.push(seen());
    await click(box("mode", "beam")); answers.push(seen());
    await click(box("budget.nfe", "9")); answers.push(seen());
    await click(box("status", "failed")); answers.push(seen());
    await click(box("status", "failed")); await click(document.querySelector("#compare-legend button"));
    await click(group("mode")); await words("seed=2");
    await click(document.querySelector("#filters [type=reset]"));
    return {answers, same: JSON.stringify(before) === JSON.stringify(seen())};
    """
    found, console = visit(page, SEEN + script)
    one, two, narrow, failed = found["answers"]
    assert console == [] and found["same"]
    assert one["count"] == "6 of 20 runs shown" and one["runs"] == [str(number) for number in range(6)]
    assert (one["groups"], one["points"], one["lines"]) == (2, 2, ["mode=search"])
    assert one["curves"] == ["mode=search, budget.nfe=9", "mode=search, budget.nfe=100"] and one["bands"] == 2
    assert len(one["pictures"]) == 2 and all("mode=search" in text for text in one["pictures"])
    assert two["count"] == "13 of 20 runs shown" and two["lines"] == ["mode=beam", "mode=search"]
    assert narrow["count"] == "7 of 20 runs shown" and narrow["points"] == 2
    assert failed["count"] == "1 of 20 runs shown" and failed["runs"] == ["19"] and failed["groups"] == 0


def test_words_filter_by_name_setting_and_reason(page: Path) -> None:
    script = """
    const answers = [];
    for (const text of ["MODE=search  seed=1", "no memory", "<i>odd", "nowhere", ""]) {
      await words(text); answers.push([byId("count").textContent.split(" ")[0], seen().points]);
    }
    return answers;
    """
    found, console = visit(page, SEEN + script)
    assert (found, console) == ([["2", 2], ["1", 0], ["1", 0], ["0", 0], ["20", 6]], [])


def test_grouping_changes_the_lines_and_what_is_averaged(page: Path) -> None:
    script = """
    const answers = [];
    await click(group("seed")); answers.push(seen());
    await click(group("seed")); await click(group("budget.nfe")); answers.push(seen());
    await click(group("mode")); answers.push(seen());
    return [answers, column("groups", "runs")];
    """
    (answers, counts), console = visit(page, SEEN + script)
    by_seed, by_mode, together = answers
    assert console == []
    assert len(by_seed["lines"]) == 9 and by_seed["points"] == 18 and by_seed["bands"] == 0 and by_seed["groups"] == 19
    assert by_mode["lines"] == ["mode=beam", "mode=fmrg", "mode=search"] and by_mode["points"] == 3
    assert together["lines"] == ["all runs"] and together["points"] == 1 and counts == ["19"]


def test_averages_are_those_of_python(page: Path) -> None:
    script = """
    const settings = groupedBy();
    return grouped(DONE, settings).map(group => [group.runs[0].name,
      Object.fromEntries(METRICS.map(metric => [metric, estimate(group, metric)])),
      Object.fromEntries(METRICS.map(metric => [metric, textOf(estimate(group, metric))]))]);
    """
    found, _ = visit(page, SEEN + script)
    kinds = {kind.runs[0].name: kind for kind in average(read_sweep(page.parent))}
    assert {name for name, *_ in found} == kinds.keys() and len(kinds) == 7
    for name, estimates, texts in found:
        for metric, (mean, error) in kinds[name].estimates.items():
            known = [math.nan if value is None else value for value in estimates[metric]]
            assert known == pytest.approx([mean, error], rel=1e-3, abs=1e-7, nan_ok=True), (name, metric)
            assert known[0] == pytest.approx(mean, rel=1e-6, nan_ok=True)
            assert texts[metric] == text_of(*known), (name, metric)


def test_points_and_bars_are_the_averages(page: Path) -> None:
    script = """
    const line = lines("compare").find(one => one.name === "mode=search");
    const first = [line.x, line.y, line.error_y.array];
    await choose("cost", "time/method_s"); await choose("quality", "reward/selected_mean"); await click(byId("log"));
    const other = lines("compare").find(one => one.name === "mode=search");
    return [first, [other.x, other.y], byId("compare").layout.xaxis.type, byId("compare").layout.xaxis.title.text];
    """
    (first, second, kind, title), console = visit(page, SEEN + script)
    error = 0.01 / math.sqrt(3)
    assert first[0] == pytest.approx([9.5, 100.5]) and first[1] == pytest.approx([-0.181, -0.09])
    assert first[2] == pytest.approx([error, error])
    assert second[0] == pytest.approx([0.095, 1.005]) and second[1] == pytest.approx([-0.0905, -0.045])
    assert (kind, title, console) == ("log", "Time of the method", [])


def test_curves_are_means_and_bands_standard_errors(page: Path) -> None:
    script = """
    const curve = () => lines("curves").find(one => one.name === "mode=beam, budget.nfe=9");
    const first = [curve(), byId("curves").data[byId("curves").data.indexOf(curve()) - 1]];
    await choose("quantity", "ess");
    return [...first, curve().y, byId("curves").layout.yaxis.title.text];
    """
    (line, band, ess, title), console = visit(page, SEEN + script)
    assert band["meta"] == "band" and len(line["x"]) <= 60 and console == []
    history = read_history(page.parent / "6")  # the first seed; the others are 0.1 and 0.2 above it
    middle = [index for index, value in enumerate(line["y"]) if value is not None]
    expected = {t: value + 0.1 for t, value in zip(history["t"], history["reward/mean"], strict=True)}
    for t, mean in ((line["x"][index], line["y"][index]) for index in (middle[0], middle[-1])):
        assert mean == pytest.approx(expected[t])
    error = 0.1 / math.sqrt(3)
    assert len(band["x"]) == 2 * len(middle)
    assert band["y"][0] - line["y"][middle[0]] == pytest.approx(error, rel=1e-3)
    assert line["y"][middle[0]] - band["y"][-1] == pytest.approx(error, rel=1e-3)
    assert ess[-1] == pytest.approx(history["ess"][-1]) and title == "ESS / N"


def test_headings_sort_numbers_by_size_and_what_is_not_known_last(page: Path) -> None:
    script = """
    const heading = (id, title) => [...byId(id).querySelectorAll("th button")].find(one => one.textContent === title);
    const answers = [];
    const press = async (id, title) => { await click(heading(id, title)); answers.push(column(id, title)); };
    await press("groups", "budget.nfe"); await press("groups", "budget.nfe");
    await press("groups", "Network, weighted, a group"); await press("groups", "Network, weighted, a group");
    await press("runs", "Run"); await press("runs", "Run");
    await press("groups", "mode");
    await words("seed=1"); answers.push(column("groups", "mode"));
    answers.push(heading("groups", "mode").closest("th").getAttribute("aria-sort"));
    return answers;
    """
    found, console = visit(page, SEEN + script)
    assert console == []
    assert found[0] == [*["9"] * 4, *["100"] * 3] and found[1] == [*["100"] * 3, *["9"] * 4]
    assert [text[:2] for text in found[2]] == [*["9."] * 3, *["10"] * 3, "n/"]
    assert [text[:2] for text in found[3]] == [*["10"] * 3, *["9."] * 3, "n/"]
    assert found[4] == [str(number) for number in range(20)] and found[5] == found[4][::-1]
    assert found[6] == ["<i>odd", "beam", "beam", "fmrg", "fmrg", "search", "search"]
    assert found[7] == ["beam", "beam", "fmrg", "fmrg", "search", "search"], "as it was sorted before"
    assert found[8] == "ascending"


def test_a_point_leads_to_its_runs(page: Path) -> None:
    script = """
    const opened = []; window.open = (...arguments_) => opened.push(arguments_[0]);
    const press = (chart, line, point) =>
      byId(chart).emit("plotly_click", {points: [{customdata: lines(chart)[line].customdata[point]}]});
    press("compare", 0, 0);
    const several = [...byId("picked").querySelectorAll("a")].map(one => one.getAttribute("href"));
    await words("seed=0"); press("compare", 1, 1); press("curves", 1, 0);
    await words("seed=1"); press("compare", 0, 0);
    return [several, opened, byId("picked").textContent];
    """
    (several, opened, last), console = visit(page, SEEN + script)
    assert several == ["6/report.html"] and opened == ["15/report.html", "6/report.html"] and console == []
    assert last == "mode=beam, budget.nfe=9: no run of it has a page."


def test_links_lead_to_pages_that_are_there(page: Path) -> None:
    found, _ = visit(
        page, SEEN + "return [...document.querySelectorAll('main a')].map(one => one.getAttribute('href'));"
    )
    assert len(found) == 12 and all((page.parent / unquote(link)).is_file() for link in found)


def test_a_name_of_the_legend_hides_its_line(page: Path) -> None:
    script = """
    const buttons = () => [...document.querySelectorAll("#compare-legend button")];
    const button = () => buttons().find(one => one.textContent.includes("beam"));
    button().focus(); await click(button());
    const off = [seen().lines, button().ariaPressed, document.activeElement === button()];
    await click(button());
    return [off, seen().lines, lines("compare").map(one => one.line.color)];
    """
    (off, lines, colors), console = visit(page, SEEN + script)
    assert off == [["mode=fmrg", "mode=search"], "false", True] and console == []
    assert lines == ["mode=beam", "mode=fmrg", "mode=search"] and len(set(colors)) == 3


def test_a_line_keeps_its_colour_while_there_are_enough(page: Path) -> None:
    script = """
    const color = () => lines("compare").find(one => one.name.startsWith("mode=search")).line.color, before = color();
    await click(box("mode", "search")); const alone = color();
    await click(box("mode", "search")); await click(group("seed")); await words("seed=2");
    const names = ["mode", "seed"].map(name => NAMES.indexOf(name)), count = grouped(DONE, names).length;
    return [before, alone, count, lines("compare").map(one => one.line.color)];
    """
    (before, alone, count, shown), _ = visit(page, SEEN + script)
    assert before == alone
    assert count > 8 and len(set(shown)) == len(shown) == 3, "too many for that: those that are shown differ"


def test_the_base_model_is_drawn_where_it_is_one(page: Path, tmp_path: Path) -> None:
    script = SEEN + "return byId('compare').layout.shapes.map(one => one.y0);"
    assert visit(page, script).answer == [-14]
    for number, reward in enumerate(("symmetry", "digit")):
        make_run(tmp_path / str(number), overrides=(f"reward={reward}",), metrics=metrics(9, -1))
    common, runs = find_runs([tmp_path])
    assert visit(write_page(tmp_path / "compare.html", common, runs), script).answer == []


def test_every_control_has_a_name(page: Path) -> None:
    """What is written inside of it is the name of a button alone."""
    script = """
    const controls = [...document.querySelectorAll(
      "main input, main select, main button, main [tabindex='0'], main [role=img]")];
    const written = one => one.tagName === "BUTTON" ? one.textContent : "";
    const name = one => one.ariaLabel || one.labels?.[0]?.firstChild.textContent || one.labels?.[0]?.textContent
      || written(one);
    const nameless = () => controls.filter(one => !name(one).trim()).map(one => one.outerHTML);
    const before = nameless();
    byId("compare").removeAttribute("aria-label"); byId("join").labels[0].replaceWith(byId("join"));
    return [controls.length, before, nameless().length,
            [...document.querySelectorAll("fieldset")].filter(one => !one.querySelector("legend")).length];
    """
    (count, nameless, taken_away, without_legend), _ = visit(page, SEEN + script)
    assert count > 40 and nameless == [] and taken_away == 2 and without_legend == 0


def test_every_text_can_be_told_from_its_ground(page: Path) -> None:
    script = """
    for (const fold of document.querySelectorAll("details")) fold.open = true;
    const marks = [...document.querySelectorAll(".legend [aria-hidden]")];
    marks.forEach(mark => mark.remove());
    return faint();
    """
    assert visit(page, SEEN + CONTRAST + script).answer == []


def test_a_setting_that_looks_like_a_tag_is_shown_as_it_is_typed(page: Path) -> None:
    script = """
    await choose("cost", "time/total_s"); await settle();
    return [lines("compare").find(one => one.name.includes("odd")).text[0], document.querySelector("svg i, main i")];
    """
    assert visit(page, SEEN + script).answer == ["mode=&lt;i>odd, budget.nfe=9", None]


def test_a_narrow_screen_scrolls_in_one_direction_only(page: Path) -> None:
    script = """
    await new Promise(done => setTimeout(done, 500));
    const {document: phone, innerWidth: width} = frames[0], root = phone.documentElement;
    const wide = [...phone.querySelectorAll("main *")].filter(one =>
      !one.closest(".scroll, svg") && one.getBoundingClientRect().right > width).map(one => one.tagName);
    return [width, root.scrollWidth, wide, phone.getElementById("facets").open];
    """
    assert visit(on_phone(page), script) == ([375, 375, [], False], [])


@pytest.mark.parametrize("done", [0, 1])
def test_few_runs_make_a_page_too(tmp_path: Path, done: int) -> None:
    for number in range(2):
        run = make_run(tmp_path / str(number))
        if number >= done:
            (run / "metrics.json").unlink()
    common, runs = find_runs([tmp_path])
    path = write_page(tmp_path / "compare.html", common, runs)
    found, console = visit(path, "return byId('count').textContent;")
    assert (found, console) == ("2 of 2 runs shown", [])
