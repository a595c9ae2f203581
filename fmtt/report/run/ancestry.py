"""The ancestry of a population on a run's page: surviving ancestors over time, and their families."""

from __future__ import annotations

from typing import Any

import numpy as np

from fmtt.report.common import html
from fmtt.report.common.palette import BASE, EXTINCT, FAMILIES, TILTED
from fmtt.report.run.charts import CHART_LAYOUT
from fmtt.run_folder import Array

PLACES, GROUPS = 128, 16  # at most so many particles of a group, and groups, are drawn

SCRIPT = """
const choice = document.getElementById("ancestry-group");
const draw = () => plot("ancestry", ancestry.groups[choice ? choice.value : 0], ancestry.layout);
if (choice) choice.addEventListener("change", draw);
draw();
"""


def ancestry(t: Array, ancestors: Array) -> tuple[str, str]:
    """The chart of one group, with a menu of groups, and its script; a sentence if nothing was ever resampled.

    Args:
        t: of the frames, ``(F,)``.
        ancestors: the particle at t = 0 from which each descends, ``(F, G, N)``.
    """
    groups, particles = ancestors.shape[1:]
    alive = survivors(ancestors)
    if (alive == particles).all():
        return "<p>Nothing was ever resampled: every particle descends from itself alone.</p>", ""
    shown = min(groups, GROUPS)
    label = "Line chart of the number of surviving ancestors over t, and below it a band for each of their families"
    caption = (
        "Below, every row is a place in the group, sorted by ancestor. A colour is a family that lives to the end; "
        "greys are families that die out."
    )
    head = ["t", *(f"group {group}" for group in range(shown))]
    rows = [[f"{time:.2f}", *map(str, row)] for time, row in zip(t, alive[:, :shown].tolist(), strict=True)]
    numbers = html.table(head, rows, numeric=range(len(head)), caption="Surviving ancestors")
    place = (
        f"<p>{summary(alive, particles)}</p>"
        + selector(shown, groups)
        + html.chart("ancestry", label, 560, caption)
        + html.folded("The survivors as numbers", numbers)
    )
    data = {"groups": [traces(t, ancestors, alive, group) for group in range(shown)], "layout": layout(particles)}
    return place, f"{{\nconst ancestry = {html.to_script(data)};\n{SCRIPT}}}"


def survivors(ancestors: Array) -> Array:
    """The number of different ancestors of the particles; ``(F, G, N)`` to ``(F, G)``."""
    ordered = np.sort(ancestors, axis=-1)
    return 1 + (ordered[..., 1:] != ordered[..., :-1]).sum(axis=-1)


def summary(alive: Array, particles: int) -> str:
    """The number of survivors at the end, in words; from ``(F, G)``."""
    last = alive[-1]
    if len(last) == 1:
        return f"At the end, all {particles} particles descend from {last[0]} of those of t = 0."
    return (
        f"At the end, the {particles} particles of a group descend from {last.mean():.3g} of those of t = 0 on average "
        f"({last.min()} to {last.max()} in {len(last)} groups)."
    )


def selector(shown: int, groups: int) -> str:
    """The menu of groups; nothing if there is only one."""
    if groups == 1:
        return ""
    options = "".join(f'<option value="{group}">group {group}</option>' for group in range(shown))
    note = f' <span class="soft">the first {shown} of {groups}</span>' if shown < groups else ""
    select = f'<select id="ancestry-group">{options}</select>'
    return f'<p><label for="ancestry-group">Families of {select}</label>{note}</p>'


def families(ancestors: Array) -> Array:
    """The colour of each family; ``(F, N)`` to the number of a colour for each ancestor, ``(N,)``.

    Families that die out take turns with the first two colours, families that live to the end with the others.
    """
    alive = np.isin(np.arange(ancestors.shape[1]), ancestors[-1])
    living, dead = np.cumsum(alive) - 1, np.cumsum(~alive) - 1
    return np.where(alive, len(EXTINCT) + living % len(FAMILIES), dead % len(EXTINCT))


def ribbons(ancestors: Array) -> tuple[Array, Array]:
    """Ancestors ``(F, N)`` sorted in each frame, at no more than :data:`PLACES` equally spaced places.

    Returns:
        The places, from 1, ``(P,)``, and the ancestors there, ``(P, F)``.
    """
    particles = ancestors.shape[1]
    drawn = min(particles, PLACES)
    places = ((np.arange(drawn) + 0.5) * particles / drawn).astype(int)
    return places + 1, np.sort(ancestors, axis=1)[:, places].T


def traces(t: Array, ancestors: Array, alive: Array, group: int) -> list[dict[str, Any]]:
    """The lines and ribbons of ``group``: its survivors, the mean over all groups, and its families."""
    hover = "%{y:.3g} at t = %{x:.2f}"
    line: dict[str, Any] = {"x": t.tolist(), "mode": "lines", "yaxis": "y2", "hovertemplate": hover}
    name = "surviving ancestors"
    drawn = []
    if alive.shape[1] > 1:
        mean = {"name": "mean of all groups", "line": {"color": BASE, "width": 2, "dash": "dash", "shape": "hvh"}}
        drawn.append({**line, **mean, "y": alive.mean(axis=1).round(3).tolist()})
        name += f", group {group}"
    mine = {"name": name, "line": {"color": TILTED, "width": 2, "shape": "hvh"}}
    drawn.append({**line, **mine, "y": alive[:, group].tolist()})
    places, rows = ribbons(ancestors[:, group])
    ribbon = {
        "type": "heatmap",
        "x": t.tolist(),
        "y": places.tolist(),
        "z": families(ancestors[:, group])[rows].tolist(),
        "customdata": rows.tolist(),
        "hovertemplate": "descends from particle %{customdata}<br>t = %{x:.2f}<extra></extra>",
        "colorscale": steps((*EXTINCT, *FAMILIES)),
        "zmin": -0.5,
        "zmax": len(EXTINCT) + len(FAMILIES) - 0.5,
        "showscale": False,
    }
    return [*drawn, ribbon]


def steps(colors: tuple[str, ...]) -> list[list[Any]]:
    """A colour scale for Plotly with a step between neighbours, no gradient."""
    return [[(number + end) / len(colors), color] for number, color in enumerate(colors) for end in (0, 1)]


def layout(particles: int) -> dict[str, Any]:
    """The layout of the chart: survivors above, families below."""
    return {
        **html.LAYOUT,
        **CHART_LAYOUT,
        "hovermode": "closest",
        "showlegend": True,
        "xaxis": {**html.AXIS, "title": {"text": "sampling time t (0 noise, 1 data)"}},
        "yaxis2": {**html.AXIS, "title": {"text": "survivors"}, "domain": [0.7, 1], "range": [0, 1.08 * particles]},
        "yaxis": {**html.AXIS, "title": {"text": "particles, by ancestor"}, "domain": [0, 0.63]},
    }
