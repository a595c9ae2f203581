"""What the quality of the flow map is worth: ``python scripts/sensitivity.py FOLDER ... [--out outputs/sensitivity]``.

Reads the runs of ``experiment=sensitivity``, in which the look-ahead uses flow maps of several stages of a training
while particles follow the velocity of the last. A row for each map and look-ahead: its error ``|L_t(x) - X| / |X|``
against the ODE of that velocity, mean over points of the ODE at t = 0, .25, .5 and .75, beside what the runs gained.
Writes OUT.md and OUT.png, gain and log Z against that error.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import torch
from hydra.utils import instantiate
from matplotlib.figure import Figure
from omegaconf import OmegaConf
from torch import Tensor

from fmtt import noise
from fmtt.look_ahead import LookAhead
from fmtt.models.learned import TwoTimeModel, load_flow_map
from fmtt.report.frontier import COLORS, MARKERS
from fmtt.report.sweep import Kind, average, read_sweep
from fmtt.training.evaluation import QUARTERS, ode_path, relative_error

POINTS, ODE_STEPS = 64, 40
METRICS = {
    "reward": "reward/weighted_mean", "gain": "gain", "ESS": "ess/final", "length": "thermodynamic_length",
    "log Z": "log_z/mean", "recognised": "recognised/tilted",
}  # fmt: skip


@cache
def ode_of(checkpoint: str) -> Tensor:
    """Trajectories of a model at the quarters of time, ``(POINTS, 5, *D)``."""
    model = load_flow_map(checkpoint)
    return ode_path(model.net, noise.normal((POINTS, *model.shape), 0, "sensitivity"), ODE_STEPS)


def error_of(folder: Path) -> float:
    """Mean error of the look-ahead of the run in ``folder`` against the ODE of its model."""
    config = OmegaConf.load(folder / "config.yaml")
    model: TwoTimeModel = instantiate(config.model)
    look_ahead: LookAhead = instantiate(config.lookahead)(model)
    path = ode_of(config.model.checkpoint)
    errors = [
        relative_error(look_ahead(path[:, k], torch.full((POINTS,), t)).sample, path[:, -1]).mean()
        for k, t in enumerate(QUARTERS)
    ]
    return torch.stack(errors).mean().item()


def with_gain(kind: Kind) -> dict[str, tuple[float, float]]:
    """The estimates of a kind, and the rise of the reward above the base model's, whose noise is the same."""
    found = dict(kind.estimates)
    (value, error), (base, _) = found["reward/weighted_mean"], found["reward/base_mean"]
    return found | {"gain": (value - base, error)}


def label(kind: Kind) -> tuple[str, str]:
    """Map and look-ahead."""
    stage = Path(kind.settings.get("model.flow_map", "null")).stem
    return "the last" if stage == "null" else stage, kind.settings.get("lookahead", "default")


def draw(path: Path, rows: Sequence[tuple[Kind, float]]) -> None:
    figure = Figure(figsize=(11, 4.4), layout="constrained")
    stages, look_ahead = (list(dict.fromkeys(label(kind)[part] for kind, _ in rows)) for part in (0, 1))
    shown = {"gain": "gain in reward", METRICS["log Z"]: "log Z"}
    for axis, (name, title) in zip(figure.subplots(1, 2), shown.items(), strict=True):
        for kind, error in rows:
            stage, look = label(kind)
            value, bar = with_gain(kind)[name]
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
    rows = sorted(((kind, error_of(folder / kind.runs[0].name)) for folder, kind in kinds), key=lambda row: row[1])
    known = {title: name for title, name in METRICS.items() if all(name in with_gain(kind) for kind, _ in rows)}
    lines = [f"| flow map | look-ahead | error | {' | '.join(known)} |", "|---" * (len(known) + 3) + "|"]
    for kind, error in rows:
        found = with_gain(kind)
        cells = (f"{found[name][0]:.3g} ± {found[name][1]:.1g}" for name in known.values())
        lines.append(f"| {' | '.join([*label(kind), f'{error:.3f}', *cells])} |")
    print("\n".join(lines))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.with_suffix(".md").write_text("\n".join(lines) + "\n")
    draw(options.out.with_suffix(".png"), rows)


if __name__ == "__main__":
    main()
