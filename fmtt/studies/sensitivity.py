"""How much is the quality of the flow map worth?

In ``experiment=sensitivity`` the look-ahead uses flow maps of several stages of a training, while particles follow the
velocity of the last. A row for each map and look-ahead: its error ``|L_t(x) - X| / |X|`` against the ODE of that
velocity, mean over points of the ODE at t = 0, .25, .5 and .75, beside the gain of the runs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import torch
from hydra.utils import instantiate
from matplotlib.figure import Figure
from torch import Tensor

from fmtt.flow import noise
from fmtt.models.learned import TwoTimeModel, load_flow_map
from fmtt.report.common.estimates import Estimate
from fmtt.report.comparison.kinds import Kind
from fmtt.run_folder import read_config
from fmtt.smc.diagnostics import log_mean_and_error, pooled_mean, weighted_mean
from fmtt.studies.output import COLORS, MARKERS, markdown_table, write_study
from fmtt.studies.runs import finished_kinds, log_z_of, tensors_of, values_of
from fmtt.tilt.look_ahead import LookAhead
from fmtt.training.evaluation import QUARTERS, ode_path, relative_error

POINTS, ODE_STEPS = 64, 40
METRICS = {"ESS": "ess/final", "length": "thermodynamic_length", "recognised": "recognised/tilted"}


class MapRow(NamedTuple):
    """Map and look-ahead, their error, and the results of the runs with them."""

    label: tuple[str, str]
    error: float
    results: Mapping[str, Estimate]


@cache
def ode_of(checkpoint: str) -> Tensor:
    """Trajectories of a model at the quarters of time, ``(POINTS, 5, *D)``."""
    model = load_flow_map(checkpoint)
    return ode_path(model.net, noise.normal((POINTS, *model.shape), 0, "sensitivity"), ODE_STEPS)


def error_of(folder: Path) -> float:
    """Mean error of the look-ahead of the run in ``folder`` against the ODE of its model."""
    config = read_config(folder)
    model: TwoTimeModel = instantiate(config.model)
    look_ahead: LookAhead = instantiate(config.lookahead)(model)
    path = ode_of(config.model.checkpoint)
    errors = [
        relative_error(look_ahead(path[:, k], torch.full((POINTS,), t)).sample, path[:, -1]).mean()
        for k, t in enumerate(QUARTERS)
    ]
    return torch.stack(errors).mean().item()


def gain(means: Tensor, log_z: Tensor, base: Tensor) -> Estimate:
    """The rise of the mean reward above the base model's, from groups ``(G,)`` that share their noise with it."""
    groups, (tilted, _) = len(log_z), pooled_mean(means, log_z)
    residual = torch.softmax(log_z, dim=0) * (means - tilted) - (base - base.mean()) / groups
    error = (residual.square().sum() * groups / (groups - 1)).sqrt() if groups > 1 else torch.tensor(math.nan)
    return (tilted - base.mean()).item(), error.item()


def results_of(kind: Kind) -> dict[str, Estimate]:
    """The results of the runs of a kind, all their groups together.

    Raises:
        ValueError: if a run has no samples of the base model.
    """
    arrays = [tensors_of(run) for run in kind.runs]
    if any("base_rewards" not in part for part in arrays):
        names = ", ".join(run.name for run in kind.runs)
        raise ValueError(f"{names}: the gain is one over the base model; the runs need baseline=true")
    means = torch.cat([weighted_mean(part["rewards"], part["log_weights"]) for part in arrays])
    base = torch.cat([part["base_rewards"].double().mean(1) for part in arrays])
    log_z = log_z_of(kind.runs)
    known = {title: kind.estimates[name] for title, name in METRICS.items() if name in kind.estimates}
    return {"gain": gain(means, log_z, base), "log Z": log_mean_and_error(log_z), **known}


def label_of(kind: Kind) -> tuple[str, str]:
    """Map and look-ahead, with the weights if they are not those that the look-ahead brings."""
    stage = Path(kind.settings.get("model.flow_map", "null")).stem
    look_ahead = values_of(kind.settings, ("lookahead", "mode.weights")) or "default"
    return "the last" if stage == "null" else stage, look_ahead


def sensitivity_table(rows: Sequence[MapRow]) -> str:
    """A row for each map and look-ahead, with the results that all of them have."""
    known = [title for title in rows[0].results if all(title in row.results for row in rows)]
    cells = [
        [
            *row.label,
            f"{row.error:.3f}",
            *(f"{row.results[name][0]:.3g} ± {row.results[name][1]:.1g}" for name in known),
        ]
        for row in rows
    ]
    return markdown_table(["flow map", "look-ahead", "error", *known], cells)


def draw_sensitivity(rows: Sequence[MapRow]) -> Figure:
    """Gain and log Z against the error of the look-ahead."""
    figure = Figure(figsize=(11, 4.4), layout="constrained")
    stages, look_aheads = (list(dict.fromkeys(row.label[part] for row in rows)) for part in (0, 1))
    shown = {"gain": "gain in reward", "log Z": "log Z"}
    for axis, (name, title) in zip(figure.subplots(1, 2), shown.items(), strict=True):
        for (stage, look), error, results in rows:
            value, bar = results[name]
            axis.errorbar(error, value, bar, color=COLORS[stages.index(stage)],
                          marker=MARKERS[look_aheads.index(look)], markersize=8, linestyle="",
                          label=f"{look}, {stage}")  # fmt: skip
        axis.set(xlabel="error of the look-ahead, relative", ylabel=title)
        axis.locator_params(axis="x", nbins=5)
        axis.grid(color="#e2e8f0")
        axis.set_axisbelow(True)
    figure.legend(*axis.get_legend_handles_labels(), loc="outside right upper", fontsize=8)
    return figure


@torch.no_grad()
def study_sensitivity(folders: Sequence[Path], out: Path) -> str:
    """Write and return the table of all maps; the figure shows gain and log Z against the error.

    Raises:
        ValueError: if there are no finished runs, or a run has no baseline.
    """
    kinds = finished_kinds(folders)
    rows = [MapRow(label_of(kind), error_of(kind.runs[0].folder), results_of(kind)) for kind in kinds]
    rows.sort(key=lambda row: row.error)
    text = sensitivity_table(rows)
    write_study(out, text, draw_sensitivity(rows), dpi=120)
    return text
