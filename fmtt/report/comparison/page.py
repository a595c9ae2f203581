"""The page that compares runs: filters and groups, quality against cost, curves, tables and samples."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from urllib.parse import quote

from fmtt.files import write_whole
from fmtt.report.common import html
from fmtt.report.common.estimates import estimate, text_of
from fmtt.report.common.metric_titles import COSTS, metric_title
from fmtt.report.comparison import controls
from fmtt.report.comparison.histories import QUANTITIES
from fmtt.report.comparison.page_data import constants, metrics_of, state_of
from fmtt.report.comparison.prompts import prompts_of
from fmtt.report.comparison.runs import ComparedRun
from fmtt.report.comparison.settings import (
    default_grouping,
    described_settings,
    distinguishing_settings,
    line_setting,
)
from fmtt.run_folder import REPORT, SAMPLES_PICTURE

# the first of them that is known is drawn at first
REWARDS = ("reward/weighted_mean", "reward/selected_mean", "reward/mean", "reward/max")
OF_A_RUN = ("reward/weighted_mean", "nfe/weighted/group", "time/method_s")  # columns in the list of runs
PICTURES = 24  # at most so many are inside the page, so that it stays small; the others are links
BY_PROMPT = (
    '<p class="soft" id="told-note" role="status"></p>'
    '<div class="scroll tall" role="region" aria-label="Returned pictures by prompt" tabindex="0">'
    '<table id="told"></table></div>'
)
HERE = Path(__file__).parent
SCRIPTS = ("selection.js", "prompts.js", "charts.js", "page.js")


def write_page(path: Path, common: Path, runs: Sequence[ComparedRun]) -> Path:
    """Write the page of ``runs``, whose names are relative to the folder ``common``; returns ``path``."""
    done = [run for run in runs if run.summary.done]
    told = [run.settings for run in done or runs]
    names = distinguishing_settings(told)
    links = [link(run.folder / REPORT, path) for run in runs]
    title = f"Comparison: {Path(*common.parts[-2:]).as_posix()}"
    body, script = [heading(title, runs, names)], ""
    if runs:
        body.append(html.section("Which runs", filters_and_groups(runs, names, default_grouping(told, names))))
    if done:
        body.append(html.section("Quality against cost", chart(done, names)))
        if any(run.history for run in done):
            body.append(html.section("Along the way", along_the_way(done)))
        body.append(
            html.section(
                "Side by side",
                _scrolled("Groups side by side", "Mean ± standard error over runs.", '<table id="groups"></table>'),
            )
        )
    if any(run.prompts for run in done):
        body.append(html.section("By prompt", BY_PROMPT))
    body.append(html.section("Runs", list_of(runs, names, links)))
    body.append(gallery(path, runs, names))
    if runs:
        data = constants(runs, names, links, path)
        script = "".join(f"const {name} = {html.to_script(value)};\n" for name, value in data.items())
        script += "".join((HERE / name).read_text(encoding="utf-8") for name in SCRIPTS)
    style = (HERE / "page.css").read_text(encoding="utf-8")
    write_whole(path, html.document(title, body, script, style))
    return path


def link(target: Path, page: Path) -> str | None:
    """The link from the page to a file; None if there is no such file."""
    if not target.is_file():
        return None
    return quote(Path(os.path.relpath(target, page.resolve().parent)).as_posix())


def heading(title: str, runs: Sequence[ComparedRun], names: Sequence[str]) -> str:
    done = [run.settings for run in runs if run.summary.done]
    shared = [(name, run.value(name)) for run in done[:1] for name in described_settings(done) if name not in names]
    common = [f"{name}={value}" for name, value in shared if value]
    lines = [f"{len(done)} runs are done, {len(runs) - len(done)} are not."]
    lines += [f"In common: {', '.join(common)}."] if common else []
    told = "".join(f"<p class=soft>{escape(line)}</p>" for line in lines)
    silent = "<noscript><p>Charts, averages and filters need JavaScript; the list of runs does not.</p></noscript>"
    return f"<header><h1>{escape(title)}</h1>{told}{silent}</header>"


def filters_and_groups(runs: Sequence[ComparedRun], names: Sequence[str], chosen: Sequence[str]) -> str:
    values: dict[str, Mapping[str, int]] = {name: Counter(run.settings.value(name) for run in runs) for name in names}
    states = Counter(map(state_of, runs))
    if len(states) > 1:
        values[controls.STATUS] = states
    return controls.form(values, names, chosen, prompts_of(runs))


def chart(done: Sequence[ComparedRun], names: Sequence[str]) -> str:
    """Quality against cost, with menus for both."""
    known = metrics_of(done)
    costs = {name: metric_title(name) for name in COSTS if name in known}
    qualities = {name: metric_title(name) for name in known if name not in COSTS}
    told = [run.settings for run in done]
    joined = line_setting(default_grouping(told, names), told)
    menus = (
        controls.select("quality", "Quality", qualities, next((name for name in REWARDS if name in known), None))
        + controls.select("cost", "Cost", costs, "nfe/weighted/group")
        + controls.select("join", "Join points along", {"": "nothing", **{name: name for name in names}}, joined)
        + '<label><input type="checkbox" id="log" autocomplete="off"> logarithmic cost</label>'
    )
    caption = (
        "Bars: standard error over the runs of a group; of a single run, over its own groups. "
        "Click a point to open its run, or a name below to hide it."
    )
    place = html.chart("compare", "Quality against cost, a line for each method", 460, caption)
    return f'<p>{menus}</p>{place}<p id="picked" aria-live="polite"></p><ul class="legend" id="compare-legend"></ul>'


def along_the_way(done: Sequence[ComparedRun]) -> str:
    """Curves over the sampling time."""
    known = {name: text for name, text in QUANTITIES.items() if any(name in run.history for run in done)}
    menu = controls.select("quantity", "Quantity", known, next(iter(known), None))
    place = html.chart(
        "curves",
        "Mean over the runs of each group, over the sampling time",
        420,
        "Lines: mean over the runs of a group. Bands: one standard error over these runs to either side.",
    )
    note = '<p class="soft" id="curves-note" aria-live="polite"></p>'
    return f'<p>{menu}</p>{place}{note}<ul class="legend" id="curves-legend"></ul>'


def gallery(page: Path, runs: Sequence[ComparedRun], names: Sequence[str]) -> str:
    """Samples of runs: first one run of each kind, then others, up to :data:`PICTURES`; the rest are links."""
    pictured = [(number, run) for number, run in enumerate(runs) if (run.folder / SAMPLES_PICTURE).is_file()]
    if not pictured:
        return ""
    kinds = default_grouping([run.settings for _, run in pictured], names)
    seen: Counter[tuple[str, ...]] = Counter()
    turns = []  # the first runs of all kinds come before the second ones; kinds are in the order of the tables
    for number, run in pictured:
        kind = tuple(run.settings.value(name) for name in kinds)
        turns.append((seen[kind], [controls.order(value) for value in kind], number, run))
        seen[kind] += 1
    turns.sort(key=lambda turn: turn[:3])
    inside = more = ""
    for place, (*_, number, run) in enumerate(turns):
        picture, name = run.folder / SAMPLES_PICTURE, label(run, names)
        if place < PICTURES:
            inside += f'<div data-run="{number}">{html.picture(picture, f"Samples of {name}", name)}</div>'
        else:
            more += f'<a data-run="{number}" href="{link(picture, page)}">{escape(name)}</a> '
    others = html.folded(f"{len(turns) - PICTURES} more pictures", f'<p class="links">{more}</p>') if more else ""
    return html.section("Samples", f'<div class="wide" id="gallery">{inside}</div>{others}')


def label(run: ComparedRun, names: Sequence[str]) -> str:
    values = ((name, run.settings.value(name)) for name in names)
    return ", ".join(f"{name}={value}" for name, value in values if value) or run.summary.name


def list_of(runs: Sequence[ComparedRun], names: Sequence[str], links: Sequence[str | None]) -> str:
    """Every run with its status, a link to its own page, its settings and its main results."""
    known = metrics_of([run for run in runs if run.summary.done])
    metrics = [name for name in OF_A_RUN if name in known]
    titles = [
        *((title, "") for title in ("Run", "Status", *names)),
        *((metric_title(name), "number") for name in metrics),
    ]
    head = "".join(
        f'<th scope="col" class="{kind}" data-key="{escape(title)}"><button type="button">{escape(title)}</button></th>'
        for title, kind in titles
    )
    rows = []
    for number, (run, target) in enumerate(zip(runs, links, strict=True)):
        name = escape(run.summary.name)
        cells = [_cell(number, f'<a href="{target}">{name}</a>' if target else name)]
        status = "; ".join([run.summary.status, *run.damaged])
        cells.append(_cell(status, escape(status), "text"))
        cells += [_cell(value, escape(value)) for value in (run.settings.value(name) for name in names)]
        numbers = [estimate(run.summary.metrics, name) for name in metrics]
        cells += [
            _cell("" if math.isnan(value) else value, text_of(value, error), "number") for value, error in numbers
        ]
        rows.append(f'<tr data-run="{number}">{"".join(cells)}</tr>')
    inside = f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody>"
    more = '<p><button type="button" id="more-runs" hidden></button></p>'
    return _scrolled("All runs", "", f'<table id="runs">{inside}</table>') + more


def _scrolled(title: str, note: str, table: str) -> str:
    """A table that scrolls on its own; the note above it stays in view."""
    region = f'<div class="scroll tall" role="region" aria-label="{title}" tabindex="0">{table}</div>'
    return f'<p class="soft">{note} Click a heading to sort.</p>{region}'


def _cell(value: object, content: str, kind: str = "") -> str:
    return f'<td class="{kind}" data-value="{escape(str(value))}">{content}</td>'
