"""What the quality of the flow map is worth: ``python scripts/sensitivity.py FOLDER ... [--out outputs/sensitivity]``.

Reads the runs of ``experiment=sensitivity``, in which the look-ahead uses flow maps of several stages of a training
while particles follow the velocity of the last. A row for each map and look-ahead: its error ``|L_t(x) - X| / |X|``
against the ODE of that velocity, mean over points of the ODE at t = 0, .25, .5 and .75, beside what the runs gained.
Writes OUT.md and OUT.png, gain and log Z against that error.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import torch
from hydra.utils import instantiate
from matplotlib.figure import Figure
from omegaconf import OmegaConf
from safetensors.torch import load_file
from torch import Tensor

from fmtt.flow import noise
from fmtt.models.learned import TwoTimeModel, load_flow_map
from fmtt.report.comparison.kinds import Kind, average
from fmtt.report.comparison.settings import values_of
from fmtt.report.comparison.sweep import read_sweep
from fmtt.report.frontier import COLORS, MARKERS
from fmtt.run_folder import CONFIG, SAMPLES
from fmtt.smc.diagnostics import log_mean_and_error, pooled_mean, weighted_mean
from fmtt.tilt.look_ahead import LookAhead
from fmtt.training.evaluation import QUARTERS, ode_path, relative_error

POINTS, ODE_STEPS = 64, 40
METRICS = {"ESS": "ess/final", "length": "thermodynamic_length", "recognised": "recognised/tilted"}
Estimate = tuple[float, float]


class Row(NamedTuple):
    """Map and look-ahead, the error of it, and what the runs with it found."""

    label: tuple[str, str]
    error: float
    found: Mapping[str, Estimate]


@cache
def ode_of(checkpoint: str) -> Tensor:
    """Trajectories of a model at the quarters of time, ``(POINTS, 5, *D)``."""
    model = load_flow_map(checkpoint)
    return ode_path(model.net, noise.normal((POINTS, *model.shape), 0, "sensitivity"), ODE_STEPS)


def error_of(folder: Path) -> float:
    """Mean error of the look-ahead of the run in ``folder`` against the ODE of its model."""
    config = OmegaConf.load(folder / CONFIG)
    model: TwoTimeModel = instantiate(config.model)
    look_ahead: LookAhead = instantiate(config.lookahead)(model)
    path = ode_of(config.model.checkpoint)
    errors = [
        relative_error(look_ahead(path[:, k], torch.full((POINTS,), t)).sample, path[:, -1]).mean()
        for k, t in enumerate(QUARTERS)
    ]
    return torch.stack(errors).mean().item()


def gain(means: Tensor, log_z: Tensor, base: Tensor) -> Estimate:
    """How much the mean reward rises above the base model's, from groups ``(G,)`` that share their noise with it."""
    groups, (tilted, _) = len(log_z), pooled_mean(means, log_z)
    residual = torch.softmax(log_z, dim=0) * (means - tilted) - (base - base.mean()) / groups
    error = (residual.square().sum() * groups / (groups - 1)).sqrt() if groups > 1 else torch.tensor(math.nan)
    return (tilted - base.mean()).item(), error.item()


def measured(folder: Path, kind: Kind) -> dict[str, Estimate]:
    """What the runs of a kind found, all their groups together."""
    arrays = [load_file(folder / run.name / SAMPLES) for run in kind.runs]
    if any("base_rewards" not in part for part in arrays):
        sys.exit(f"{folder}: the gain is one over the base model; the runs need baseline=true")
    means = torch.cat([weighted_mean(part["rewards"], part["log_weights"]) for part in arrays])
    base = torch.cat([part["base_rewards"].double().mean(1) for part in arrays])
    log_z = torch.tensor([value for run in kind.runs for value in run.metrics["log_z"]], dtype=torch.float64)
    known = {title: kind.estimates[name] for title, name in METRICS.items() if name in kind.estimates}
    return {"gain": gain(means, log_z, base), "log Z": log_mean_and_error(log_z), **known}


def label(kind: Kind) -> tuple[str, str]:
    """Map and look-ahead, with the weights where they are not those that the look-ahead brings."""
    stage = Path(kind.settings.get("model.flow_map", "null")).stem
    look_ahead = values_of(kind.settings, ("lookahead", "mode.weights")) or "default"
    return "the last" if stage == "null" else stage, look_ahead


def draw(path: Path, rows: Sequence[Row]) -> None:
    figure = Figure(figsize=(11, 4.4), layout="constrained")
    stages, look_ahead = (list(dict.fromkeys(row.label[part] for row in rows)) for part in (0, 1))
    shown = {"gain": "gain in reward", "log Z": "log Z"}
    for axis, (name, title) in zip(figure.subplots(1, 2), shown.items(), strict=True):
        for (stage, look), error, found in rows:
            value, bar = found[name]
            axis.errorbar(error, value, bar, color=COLORS[stages.index(stage)], marker=MARKERS[look_ahead.index(look)],
                          markersize=8, linestyle="", label=f"{look}, {stage}")  # fmt: skip
        axis.set(xlabel="error of the look-ahead, relative", ylabel=title)
        axis.locator_params(axis="x", nbins=5)
        axis.grid(color="#e2e8f0")
        axis.set_axisbelow(True)
    figure.legend(*axis.get_legend_handles_labels(), loc="outside right upper", fontsize=8)
    figure.savefig(path, dpi=120)


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, default=Path("outputs/sensitivity"))
    options = parser.parse_args()
    kinds = [(folder, kind) for folder in options.folders for kind in average(read_sweep(folder))]
    if not kinds:
        sys.exit(f"no finished runs below {', '.join(map(str, options.folders))}")
    rows = [Row(label(kind), error_of(folder / kind.runs[0].name), measured(folder, kind)) for folder, kind in kinds]
    rows.sort(key=lambda row: row.error)
    known = [title for title in rows[0].found if all(title in row.found for row in rows)]
    lines = [f"| flow map | look-ahead | error | {' | '.join(known)} |", "|---" * (len(known) + 3) + "|"]
    for row in rows:
        cells = (f"{row.found[title][0]:.3g} ± {row.found[title][1]:.1g}" for title in known)
        lines.append(f"| {' | '.join([*row.label, f'{row.error:.3f}', *cells])} |")
    print("\n".join(lines))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.with_suffix(".md").write_text("\n".join(lines) + "\n")
    draw(options.out.with_suffix(".png"), rows)


if __name__ == "__main__":
    main()
