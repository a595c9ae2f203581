"""The film on a run's page: the population on its way, a frame at a time."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

import numpy as np

from fmtt.report.common import html
from fmtt.report.common.palette import BEST, TILTED
from fmtt.report.common.pixels import is_picture
from fmtt.report.run.film_frames import contact_sheet, counts_in_bins, data_uri, extent, four_digits
from fmtt.run_folder import Array

PACE = 250  # milliseconds of a frame
WIDEST = 480  # pixels of a panel of pictures
BARS = 40
HERE, THERE = "The particles at time t", "Where the look-ahead sees them land"
BLIND = "Nothing looks ahead in this run, so the film shows the particles alone."
LEGEND = {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0}

# Nothing moves before a click. While the film plays, a screen reader does not read out every frame.
PLAYER = """
const byName = name => document.getElementById(`film-${name}`);
const slider = byName("frame"), button = byName("play"), output = byName("where");
let timer = null;
const go = frame => {
  const text = `t = ${film.t[frame].toFixed(2)}, frame ${frame + 1} of ${film.t.length}`;
  slider.value = frame;
  slider.setAttribute("aria-valuetext", text);
  output.textContent = text;
  draw(frame);
};
const stop = () => {
  clearInterval(timer);
  timer = null;
  button.textContent = "Play";
  output.setAttribute("aria-live", "polite");
};
const next = () => {
  go(Number(slider.value) + 1);
  if (slider.value === slider.max) stop();
};
button.addEventListener("click", () => {
  if (timer !== null) return stop();
  if (slider.value === slider.max) go(0);
  timer = setInterval(next, film.pace);
  button.textContent = "Pause";
  output.setAttribute("aria-live", "off");
});
slider.addEventListener("input", () => { stop(); go(Number(slider.value)); });
"""

PICTURES = """
const sheets = film.sheets.map(([name, source]) => {
  const picture = new Image();
  picture.addEventListener("load", () => draw(Number(slider.value)));
  picture.src = source;
  return {canvas: byName(name), picture};
});
const draw = frame => {
  for (const {canvas, picture} of sheets)
    canvas.getContext("2d").drawImage(picture, 0, -frame * canvas.height);
};
"""

CHART = """
const draw = frame =>
  plot("film-chart", film.traces.map((trace, k) => ({...trace, ...film.frames[frame][k]})), film.layout);
"""


def film(frames: Mapping[str, Array]) -> tuple[str, str]:
    """The player and its script; both are empty if there is no film, or no way to draw it.

    Args:
        frames: of F frames ``t (F,)``, ``x`` and ``landing (F, g, n, *D)``, the latter NaN if it is not known.
    """
    if "x" not in frames or len(frames["t"]) < 2:
        return "", ""
    shape = frames["x"].shape[3:]
    shown = {"x": frames["x"]}
    if np.isfinite(frames["landing"]).any():
        shown["landing"] = frames["landing"]
    if is_picture(shape):
        content, data, script = *pictures(shown), PICTURES
    elif len(shape) == 1:
        content, data, script = *(histograms(shown) if shape[0] == 1 else points(shown)), CHART
    else:
        return "", ""
    groups, particles = frames["x"].shape[1:3]
    note = f"{groups * particles} particles, {particles} of each of {groups} groups." if groups > 1 else ""
    notes = [note or f"{particles} particles.", *([BLIND] if "landing" not in shown else [])]
    data = {**data, "t": frames["t"].tolist(), "pace": PACE}
    place = player(len(frames["t"])) + content + f'<p class="soft">{escape(" ".join(notes))}</p>'
    return place, f"{{\nconst film = {html.to_script(data)};\n{PLAYER}{script}go(0);\n}}"


def player(frames: int) -> str:
    """The controls of a film of so many frames."""
    return (
        '<div class="player"><button type="button" id="film-play">Play</button>'
        '<label for="film-frame">Frame</label>'
        f'<input type="range" id="film-frame" min="0" max="{frames - 1}" step="1" value="0" autocomplete="off">'
        '<output id="film-where" for="film-frame" aria-live="polite"></output></div>'
        "<noscript>The film needs JavaScript.</noscript>"
    )


def pictures(shown: Mapping[str, Array]) -> tuple[str, dict[str, Any]]:
    """A canvas for each panel, and the sheets whose frames are drawn on them, ``(F, g, n, C, H, W)`` each."""
    panels, sheets = [], []
    for name, array in shown.items():
        pixels, height = contact_sheet(array.reshape(len(array), -1, *array.shape[3:]))
        width = pixels.shape[1]
        factor = WIDEST // width
        # small pictures are enlarged by a whole factor, so that all pixels are equal; large ones are smoothed
        size = f"max-width:{factor * width}px" if factor > 1 else f"max-width:{WIDEST}px;image-rendering:auto"
        title = HERE if name == "x" else THERE
        panels.append(
            f'<figure><canvas id="film-{name}" width="{width}" height="{height}" style="{size}" '
            f'role="img" aria-label="{title}, as pictures"></canvas><figcaption>{title}</figcaption></figure>'
        )
        sheets.append([name, data_uri(pixels)])
    return f'<div class="pair">{"".join(panels)}</div>', {"sheets": sheets}


def points(shown: Mapping[str, Array]) -> tuple[str, dict[str, Any]]:
    """A scatter of the first two coordinates of ``(F, g, n, d)``, a line from each particle to its landing."""
    clouds = {name: array[..., :2].reshape(len(array), -1, 2) for name, array in shown.items()}
    frames = []
    for number in range(len(clouds["x"])):
        frame = {name: cloud[number] for name, cloud in clouds.items()}
        ways = np.full((len(frame["x"]), 3, 2), np.nan)  # from here to there, and a gap
        ways[:, 0], ways[:, 1] = frame["x"], frame.get("landing", np.nan)
        drawn = [ways.reshape(-1, 2)] if "landing" in frame else []
        drawn += [frame[name] for name in ("landing", "x") if name in frame]
        frames.append([{"x": four_digits(xy[:, 0]), "y": four_digits(xy[:, 1])} for xy in drawn])
    hover = "%{x:.3g}, %{y:.3g}"
    there = {"name": THERE, "mode": "markers", "hovertemplate": hover}
    traces: list[dict[str, Any]] = [
        {"mode": "lines", "line": {"color": "#94a3b8", "width": 1.2}, "hoverinfo": "skip", "showlegend": False},
        {**there, "marker": {"size": 10, "color": BEST, "symbol": "diamond-open", "line": {"width": 2}}},
        {**there, "name": HERE, "marker": {"size": 9, "color": TILTED}},
    ]
    every = np.concatenate([cloud.reshape(-1, 2) for cloud in clouds.values()])
    x, y = ({"range": extent(every[:, axis]), "title": {"text": f"x<sub>{axis + 1}</sub>"}} for axis in range(2))
    square = {"constrain": "domain", "constraintoward": "left"}
    layout = {"xaxis": {**html.AXIS, **x, **square}, "yaxis": {**html.AXIS, **y, "scaleanchor": "x"}}
    label = "Scatter chart of the first two coordinates of the particles and of where they will land"
    return _chart(label, 520, layout, traces[-len(frames[0]) :], frames)


def histograms(shown: Mapping[str, Array]) -> tuple[str, dict[str, Any]]:
    """Histograms of numbers ``(F, g, n, 1)``, on the same bins in all frames."""
    low, high = extent(np.concatenate([array.ravel() for array in shown.values()]))
    edges = np.linspace(low, high, BARS + 1)
    names = {"x": (HERE, TILTED), "landing": (THERE, BEST)}
    counts = [counts_in_bins(array.reshape(len(array), -1).astype(float), edges) for array in shown.values()]
    frames = [[{"y": count[number].tolist()} for count in counts] for number in range(len(shown["x"]))]
    traces = [
        {"type": "bar", "x": four_digits((edges[:-1] + edges[1:]) / 2), "name": title, "opacity": 0.6,
         "marker": {"color": color}, "hovertemplate": "%{y} at %{x:.3g}"}
        for title, color in (names[name] for name in shown)
    ]  # fmt: skip
    top = max(int(count.max()) for count in counts)
    layout = {
        "barmode": "overlay",
        "bargap": 0.05,
        "xaxis": {**html.AXIS, "range": [low, high], "title": {"text": "x"}},
        "yaxis": {**html.AXIS, "range": [0, 1.05 * top], "title": {"text": "particles"}},
    }
    return _chart("Histograms of the particles and of where they will land", 380, layout, traces, frames)


def _chart(
    label: str, height: int, layout: Mapping[str, Any], traces: list[dict[str, Any]], frames: list[list[dict[str, Any]]]
) -> tuple[str, dict[str, Any]]:
    whole = {**html.LAYOUT, "margin": {"l": 60, "r": 16, "t": 8, "b": 44}, "legend": LEGEND, "showlegend": True}
    data = {"layout": {**whole, **layout}, "traces": traces, "frames": frames}
    return html.chart("film-chart", label, height), data
