"""The parts of pages; every page is one file that needs no network."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

STYLE = """
:root { color-scheme: light; --ink: #0f172a; --soft: #475569; --line: #cbd5e1; --wash: #f1f5f9; --link: #1d4ed8; }
* { box-sizing: border-box; }
body { margin: 0; background: #fff; color: var(--ink);
       font: 16px/1.55 system-ui, -apple-system, "Segoe UI", sans-serif; }
main { max-width: 68rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .4rem; }
h2 { font-size: 1.2rem; margin: 2.4rem 0 .7rem; padding-bottom: .3rem; border-bottom: 1px solid var(--line); }
p { margin: .4rem 0; }
.warning { color: #b91c1c; font-weight: 600; }
.soft, figcaption, caption { color: var(--soft); font-size: .9rem; }
code, pre { font: .875rem/1.5 ui-monospace, "SF Mono", Menlo, Consolas, monospace; }
pre { background: var(--wash); padding: .8rem 1rem; border-radius: 6px; overflow-x: auto; margin: .6rem 0; }
pre.command { white-space: pre-wrap; overflow-wrap: anywhere; }
figure { margin: 0; }
img { max-width: 100%; height: auto; display: block; }
.chart { width: 100%; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
caption { text-align: left; padding-bottom: .4rem; }
th, td { padding: .38rem .9rem .38rem 0; text-align: left; border-bottom: 1px solid var(--line); vertical-align: top; }
th { font-weight: 600; min-width: 5rem; }
td.number, th.number { text-align: right; }
td { white-space: nowrap; }
td:has(.note), td.text { white-space: normal; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); gap: .7rem; margin: 1rem 0; }
.note { display: block; font-size: .85rem; }
.card { background: var(--wash); border-radius: 8px; padding: .6rem .85rem; }
.card b { display: block; font-size: 1.05rem; line-height: 1.35; font-variant-numeric: tabular-nums; }
.card span { color: var(--soft); font-size: .85rem; }
details { margin-top: 1rem; border: 1px solid var(--line); border-radius: 6px; padding: .55rem .9rem; }
summary { cursor: pointer; font-weight: 600; }
th button { font: inherit; background: none; border: 0; padding: 0; cursor: pointer; color: var(--link);
            text-align: inherit; }
th[aria-sort=ascending] button::after { content: " \\25B2"; }
th[aria-sort=descending] button::after { content: " \\25BC"; }
select { font: inherit; padding: .25rem .5rem; border: 1px solid #64748b; border-radius: 5px; background: #fff; }
label { margin-right: 1.2rem; display: inline-block; }
.player { display: flex; flex-wrap: wrap; align-items: center; gap: .4rem .9rem; margin-bottom: .9rem; }
.player button { font: inherit; min-width: 5.2rem; min-height: 2.75rem; padding: 0 .9rem; border: 1px solid #64748b;
                 border-radius: 5px; background: #fff; color: var(--ink); cursor: pointer; }
.player label { margin: 0; }
.player input { flex: 1 1 9rem; min-width: 0; min-height: 2.75rem; accent-color: var(--link); cursor: pointer; }
.player output { flex: 0 0 13.5rem; font-variant-numeric: tabular-nums; }
.pair { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 1rem; }
canvas { width: 100%; display: block; image-rendering: pixelated; }
:focus-visible { outline: 3px solid #2563eb; outline-offset: 2px; border-radius: 3px; }
.told { display: grid; grid-template-columns: repeat(auto-fill, minmax(10rem, 1fr)); gap: 1.1rem .9rem;
        margin: .8rem 0; }
.few { display: grid; grid-template-columns: repeat(2, 1fr); gap: .25rem; margin-bottom: .3rem; }
.few img { width: 100%; image-rendering: pixelated; }
.few figcaption { font-size: .75rem; line-height: 1.25; white-space: pre-line; }
.wide { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(22rem, 100%), 1fr)); gap: 1.4rem; }
"""

LAYOUT: dict[str, Any] = {
    "font": {"family": "system-ui, -apple-system, Segoe UI, sans-serif", "size": 13, "color": "#0f172a"},
    "paper_bgcolor": "#ffffff",
    "plot_bgcolor": "#ffffff",
    "hoverlabel": {"namelength": -1},
}
AXIS: dict[str, Any] = {"gridcolor": "#e2e8f0", "linecolor": "#94a3b8", "zeroline": False, "automargin": True}


def document(title: str, body: Iterable[str], script: str = "", style: str = "") -> str:
    """A page; Plotly's JavaScript is inlined once, before the body, and ``script`` after it."""
    from plotly.offline import get_plotlyjs

    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f'<title>{escape(title)}</title><link rel="icon" href="data:,">',
            f"<style>{STYLE}{style}</style>",
            f"<script>{get_plotlyjs()}</script></head><body><main>",
            *body,
            f"</main><script>{PLOT}{script}</script></body></html>",
        ]
    )


def section(title: str, *content: str) -> str:
    """A part of a page under a heading."""
    return f"<section><h2>{escape(title)}</h2>{''.join(content)}</section>"


def picture(path: Path, alternative: str, caption: str = "") -> str:
    """A PNG inside the page; nothing if the file is missing or may not be read."""
    if not os.access(path, os.R_OK):
        return ""
    data = base64.b64encode(path.read_bytes()).decode()
    note = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    return f'<figure><img src="data:image/png;base64,{data}" alt="{escape(alternative)}">{note}</figure>'


def chart(name: str, label: str, height: int, caption: str = "", otherwise: str = "") -> str:
    """An empty place for a Plotly chart, filled by :func:`draw`; ``otherwise`` is shown without JavaScript."""
    note = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    place = f'<div class="chart" id="{name}" role="img" aria-label="{escape(label)}" style="height:{height}px"></div>'
    return f"<figure>{place}{note}</figure>" + (f"<noscript>{otherwise}</noscript>" if otherwise else "")


# On a touch screen a finger on a chart scrolls the page; elsewhere the mouse zooms.
PLOT = """
function plot(name, traces, layout) {
  const touch = matchMedia("(pointer: coarse)").matches;
  const options = {responsive: true, displaylogo: false, displayModeBar: touch ? false : "hover",
                   modeBarButtonsToRemove: ["select2d", "lasso2d"]};
  return Plotly.react(name, traces, {...layout, dragmode: touch ? false : "zoom"}, options);
}
"""


def draw(name: str, traces: Sequence[Mapping[str, Any]], layout: Mapping[str, Any]) -> str:
    """The script that fills a place with traces."""
    return f"plot({', '.join(to_script(part) for part in (name, traces, {**LAYOUT, **layout}))});"


def to_script(value: Any) -> str:
    """JSON for a script element; NaN becomes null, which Plotly leaves out."""
    text = json.dumps(_plain(value), allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c")  # so no text can end the script or begin a comment


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, float):
        return value if value - value == 0 else None
    return value


Cell = str | tuple[str, str]  # text, or text with a note below it


def table(head: Sequence[str], rows: Iterable[Sequence[Cell]], numeric: Iterable[int] = (), caption: str = "") -> str:
    """A table of escaped text; the columns ``numeric`` are set flush right."""
    right = set(numeric)
    alignment = ["number" if column in right else "" for column in range(len(head))]

    def line(row: Sequence[Cell], tag: str, attributes: str = "") -> str:
        pairs = zip(alignment, row, strict=True)
        cells = (f'<{tag}{attributes} class="{kind}">{_cell(cell)}</{tag}>' for kind, cell in pairs)
        return f"<tr>{''.join(cells)}</tr>"

    title = f"<caption>{escape(caption)}</caption>" if caption else ""
    lines = "".join(line(row, "td") for row in rows)
    return (
        f'<div class="scroll" role="region" aria-label="{escape(caption or "table")}" tabindex="0">'
        f"<table>{title}<thead>{line(head, 'th', ' scope=col')}</thead>"
        f"<tbody>{lines}</tbody></table></div>"
    )


def _cell(cell: Cell) -> str:
    if isinstance(cell, str):
        return escape(cell)
    text, note = map(escape, cell)
    return f'{text}<span class="soft note">{note}</span>' if note else text


def cards(items: Iterable[tuple[str, str]]) -> str:
    """The few numbers to read first, as pairs of name and value."""
    card = '<div class="card"><span>{}</span><b>{}</b></div>'
    return f'<div class="cards">{"".join(card.format(escape(what), escape(value)) for what, value in items)}</div>'


def folded(title: str, content: str) -> str:
    """Content that a click on its title unfolds."""
    return f"<details><summary>{escape(title)}</summary>{content}</details>"


def preformatted(text: str, kind: str = "") -> str:
    """Text as it stands, line by line."""
    return f'<pre class="{kind}" role="region" aria-label="{kind or "text"}" tabindex="0">{escape(text)}</pre>'
