"""The page of a sweep: baselines side by side, and reward against cost with error bars over seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from pathlib import Path
from urllib.parse import quote

from fmtt.report import html
from fmtt.report.page import COSTS, RESULTS
from fmtt.report.record import text_of
from fmtt.report.sweep import Entry, Kind, average, differing

# the first that is there is drawn first
REWARDS = ("reward/weighted_mean", "reward/selected_mean", "reward/mean", "reward/max")
COLUMNS = ("reward/weighted_mean", "reward/selected_mean", "reward/max", "log_z/mean", "ess/final",
           "nfe/weighted/group", "nfe/forward", "nfe/backward", "nfe/reward", "time/method_s")  # fmt: skip
PICTURES = 24  # at most, so that the page stays small

SCRIPT = """
const byId = id => document.getElementById(id);
function compare() {
  const x = byId("cost").value, y = byId("quality").value;
  const label = id => byId(id).selectedOptions[0].text;
  const bars = pairs => ({type: "data", array: pairs.map(p => p[1]), thickness: 1.5, width: 5});
  const traces = SERIES.map((series, k) => {
    const points = series.points.filter(p => p.estimates[x] && p.estimates[y])
                                .sort((a, b) => a.estimates[x][0] - b.estimates[x][0]);
    const xs = points.map(p => p.estimates[x]), ys = points.map(p => p.estimates[y]);
    return {name: series.name, mode: "lines+markers", x: xs.map(p => p[0]), y: ys.map(p => p[0]), error_y: bars(ys),
            line: {width: 1.5}, marker: {size: 10, symbol: SYMBOLS[k % SYMBOLS.length]},
            text: points.map(p => p.label), hovertemplate: "%{text}<br>%{y:.4g} at %{x:.5g}"};
  });
  const base = SERIES.flatMap(series => series.points).map(p => p.estimates["reward/base_mean"]).filter(p => p);
  const all = traces.flatMap(trace => trace.x);
  if (base.length && y.startsWith("reward/")) {
    const mean = base.reduce((sum, p) => sum + p[0], 0) / base.length;
    traces.push({name: "base model, mean", mode: "lines", x: [Math.min(...all), Math.max(...all)], y: [mean, mean],
                 line: {color: "#64748b", dash: "dash", width: 2}, hovertemplate: "%{y:.4g}"});
  }
  const axis = {...AXIS, tickformat: "~s", title: {text: label("cost")}};
  const log = byId("log").checked ? {type: "log", dtick: "D2"} : {rangemode: "tozero"};
  plot("compare", traces, {...LAYOUT, xaxis: {...axis, ...log}, yaxis: {...AXIS, title: {text: label("quality")}}});
}
for (const id of ["cost", "quality", "log"]) byId(id).addEventListener("change", compare);
compare();

for (const button of document.querySelectorAll("th button")) button.addEventListener("click", () => {
  const head = button.closest("th"), body = head.closest("table").tBodies[0];
  const up = head.getAttribute("aria-sort") !== "ascending";
  for (const other of head.parentNode.children) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", up ? "ascending" : "descending");
  const key = row => row.cells[head.cellIndex].dataset.value;
  const order = (a, b) => a === "" || b === "" ? (a === "") - (b === "") :  // what is not known comes last
    (up ? 1 : -1) * (isNaN(a) || isNaN(b) ? a.localeCompare(b, undefined, {numeric: true}) : a - b);
  body.append(...[...body.rows].sort((a, b) => order(key(a), key(b))));
});
"""

SYMBOLS = ["circle", "square", "diamond", "triangle-up", "cross", "star", "hexagon", "triangle-down"]
COLORS = ["#2563eb", "#b45309", "#0f766e", "#7c3aed", "#be123c", "#475569", "#0369a1", "#4d7c0f"]
LAYOUT = {
    **html.LAYOUT,
    "colorway": COLORS,
    "margin": {"l": 60, "r": 16, "t": 8, "b": 48},
    "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
    "showlegend": True,
}


def write_page(folder: Path, entries: Sequence[Entry]) -> Path:
    """``compare.html``."""
    kinds = average(entries)
    names = differing(kinds)
    title = f"Comparison: {'/'.join(folder.resolve().parts[-2:])}"
    body = [heading(title, entries, kinds, names)]
    script = ""
    if kinds:
        body.append(html.section("Quality against cost", chart(kinds)))
        body.append(html.section("Side by side", comparison(kinds, names)))
        body.append(html.section("Samples", gallery(folder, kinds, names)))
        constants = {"SERIES": series(kinds, names), "SYMBOLS": SYMBOLS, "LAYOUT": LAYOUT, "AXIS": html.AXIS}
        script = "".join(f"const {name} = {html.to_script(value)};\n" for name, value in constants.items()) + SCRIPT
    body.append(html.section("Runs", runs(folder, entries)))
    path = folder / "compare.html"
    path.write_text(html.document(title, body, script), encoding="utf-8")
    return path


def heading(title: str, entries: Sequence[Entry], kinds: Sequence[Kind], names: Sequence[str]) -> str:
    missing = sum(entry.status != "done" for entry in entries)
    settings = kinds[0].settings if kinds else {}
    common = ", ".join(f"{name}={value}" for name, value in settings.items() if name not in names)
    lines = [f"{len(entries) - missing} runs are done, {missing} are not."]
    lines += [f"In common: {common}."] if common else []
    return f"<header><h1>{escape(title)}</h1>{''.join(f'<p class=soft>{escape(line)}</p>' for line in lines)}</header>"


def label_of(kind: Kind, names: Sequence[str]) -> str:
    return ", ".join(f"{name}={kind.settings[name]}" for name in names if name in kind.settings) or "default"


def name_of(metric: str) -> str:
    return {**RESULTS, **COSTS}.get(metric, (metric, ""))[0]


def chart(kinds: Sequence[Kind]) -> str:
    """The chart with the choice of what is drawn against what."""
    known = dict.fromkeys(name for kind in kinds for name in kind.estimates)
    costs = [name for name in COSTS if name in known]
    qualities = [name for name in known if name not in COSTS]
    first = next((name for name in REWARDS if name in known), None)
    controls = (
        _select("quality", "Quality", qualities, first)
        + _select("cost", "Cost", costs, "nfe/weighted/group")
        + '<label><input type="checkbox" id="log"> logarithmic cost</label>'
    )
    several = max(len(kind.runs) for kind in kinds)
    caption = "Bars: standard error over seeds." if several > 1 else "Bars: standard error over the groups of a run."
    return f"<p>{controls}</p>" + html.chart("compare", "Quality against cost, a line for each method", 460, caption)


def _select(name: str, label: str, metrics: Sequence[str], chosen: str | None) -> str:
    options = "".join(
        f'<option value="{escape(metric)}"{" selected" if metric == chosen else ""}>{escape(name_of(metric))}</option>'
        for metric in metrics
    )
    return f'<label for="{name}">{label} <select id="{name}">{options}</select></label>'


def series(kinds: Sequence[Kind], names: Sequence[str]) -> list[dict]:
    """The lines of the chart: kinds that differ in numbers only, such as steps or particles, are points of one line."""
    lines: dict[str, list[dict]] = {}
    for kind in kinds:
        words = [name for name in names if not _is_number(kind.settings.get(name))]
        estimates = {name: value for name, value in kind.estimates.items() if not math.isnan(value[0])}
        lines.setdefault(label_of(kind, words), []).append({"label": label_of(kind, names), "estimates": estimates})
    return [{"name": name, "points": points} for name, points in lines.items()]


def _is_number(text: str | None) -> bool:
    try:
        float(text or "")
    except ValueError:
        return False
    return True


def comparison(kinds: Sequence[Kind], names: Sequence[str]) -> str:
    """A row for each kind; a click on a heading sorts."""
    metrics = [name for name in COLUMNS if any(name in kind.estimates for kind in kinds)]
    titles = [*((name, "") for name in names), ("runs", "number"), *((name_of(name), "number") for name in metrics)]
    head = "".join(
        f'<th scope="col" class="{kind}"><button type="button">{escape(title)}</button></th>' for title, kind in titles
    )
    rows = "".join(f"<tr>{_settings(kind, names)}{_measured(kind, metrics)}</tr>" for kind in kinds)
    return _table("<caption>Mean ± standard error. Click a heading to sort.</caption>", head, rows)


def _table(caption: str, head: str, rows: str) -> str:
    inside = f"{caption}<thead><tr>{head}</tr></thead><tbody>{rows}</tbody>"
    return f'<div class="scroll" tabindex="0"><table>{inside}</table></div>'


def _settings(kind: Kind, names: Sequence[str]) -> str:
    values = (escape(kind.settings.get(name, "")) for name in names)
    return "".join(f'<td data-value="{value}">{value or "default"}</td>' for value in values)


def _measured(kind: Kind, metrics: Sequence[str]) -> str:
    unknown = (math.nan, math.nan)
    estimates = [(float(len(kind.runs)), math.nan), *(kind.estimates.get(name, unknown) for name in metrics)]
    return "".join(
        f'<td class="number" data-value="{"" if math.isnan(value) else value}">{text_of(value, error)}</td>'
        for value, error in estimates
    )


def gallery(folder: Path, kinds: Sequence[Kind], names: Sequence[str]) -> str:
    """The samples of the first run of each kind."""
    figures = []
    for kind in kinds[:PICTURES]:
        label = label_of(kind, names)
        figures.append(html.picture(folder / kind.runs[0].name / "samples.png", f"Samples of {label}", label))
    return f'<div class="wide">{"".join(figures)}</div>'


def runs(folder: Path, entries: Sequence[Entry]) -> str:
    """Every run with its status and a link to its own page."""
    row = '<tr><td>{}</td><td class="text">{}</td><td class="text"><code>{}</code></td></tr>'
    lines = []
    for entry in entries:
        name, page = escape(entry.name), f"{entry.name}/report.html"
        link = f'<a href="{quote(page)}">{name}</a>' if (folder / page).is_file() else name
        typed = " ".join(f"{key}={value}" for key, value in entry.settings.items())
        lines.append(row.format(link, escape(entry.status), escape(typed)))
    head = "".join(f'<th scope="col">{name}</th>' for name in ("Run", "Status", "Settings"))
    return _table("", head, "".join(lines))
