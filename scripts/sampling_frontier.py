"""Error of the tilted law against cost: ``python scripts/sampling_frontier.py FOLDER ... [--out OUT]``.

Every folder holds the runs of ``experiment=frontier_sampling`` on one task and is named after it. The truth is the
closed form or quadrature where the model has one, else the runs of ``mode=base`` in the folder: importance sampling of
the model's own samples. The error is the root mean square over all groups, each a population of its own that was paid
by the budget: of log Z, and of the weighted mean of the scaled reward. Writes ``OUT.png`` and ``OUT.md`` and prints the
tables; OUT is ``outputs/frontier_sampling`` unless it is given.
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from fmtt.report.common.placement import normalised_weights
from fmtt.report.comparison.run_summary import RunSummary
from fmtt.report.comparison.settings import read_budget
from fmtt.report.comparison.sweep import read_sweep
from fmtt.report.frontier import Cell, Estimate, draw, optimal, table
from fmtt.run.cli import script
from fmtt.run_folder import CONFIG, SAMPLES, read_yaml

# settings whose value is part of a method's name; all others belong to the task
NAMING = ("mode", "lookahead", "mode.move", "mode.weights")
WORDS = {"flowmap1": "1 jump", "diffusion4": ""}


def method_of(entry: RunSummary) -> str:
    """The mode, and what makes it another method."""
    values = [entry.settings[key] for key in NAMING if key in entry.settings]
    return ", ".join(filter(None, (WORDS.get(value, value) for value in values)))


def scale_of(folder: Path) -> float:
    return float(read_yaml(folder / CONFIG)["reward"]["scale"])


def truth(folder: Path, runs: list[RunSummary]) -> tuple[float, float, str]:
    """Log Z, the tilted mean of the scaled reward, and a word on the error of both."""
    scale = scale_of(folder / runs[0].name)
    known = [run.metrics for run in runs if "exact/log_z" in run.metrics]
    if known:
        return known[0]["exact/log_z"], scale * known[0]["exact/reward"], "exact"
    rewards = [load_file(folder / run.name / SAMPLES)["rewards"] for run in runs if is_base(run)]
    if not rewards:
        sys.exit(f"{folder}: no exact values, and no runs of mode=base to take them from")
    tilt = scale * np.concatenate([part.ravel() for part in rewards])
    weights = np.exp(tilt - tilt.max())
    log_z = math.log(weights.mean()) + tilt.max()
    spread = weights.std() / weights.mean() / math.sqrt(len(weights))
    return log_z, float((weights * tilt).sum() / weights.sum()), f"from {len(tilt)} samples, log Z ± {spread:.3f}"


def is_base(run: RunSummary) -> bool:
    return run.settings.get("mode") == "base"


def rms(errors: np.ndarray) -> Estimate:
    """Minus the root mean square, so that larger is better, and its standard error."""
    squares = errors**2
    root = math.sqrt(squares.mean())
    return -root, float(squares.std(ddof=1) / math.sqrt(len(squares)) / (2 * root)) if root else 0.0


def cell(task: str, method: str, budget: float, runs: list[tuple[Path, RunSummary]], log_z: float, mean: float) -> Cell:
    found, means, scale = [], [], scale_of(runs[0][0] / runs[0][1].name)
    for folder, run in runs:
        arrays = load_file(folder / run.name / SAMPLES)
        found += list(np.atleast_1d(run.metrics["log_z"]))
        means += list(scale * (normalised_weights(arrays["log_weights"]) * arrays["rewards"]).sum(1))
    cost = float(np.mean([run.metrics["nfe/weighted/group"] for _, run in runs]))
    seconds = float(np.mean([run.metrics["time/method_s"] / run.metrics["population/groups"] for _, run in runs]))
    quality = {
        "minus error of log Z": rms(np.array(found) - log_z),
        "minus error of the reward": rms(np.array(means) - mean),
    }
    return Cell(task, method, budget, cost, seconds, quality, kept=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, default=Path("outputs/frontier_sampling"))
    options = parser.parse_args()
    cells, notes = [], []
    for folder in options.folders:
        runs = [entry for entry in read_sweep(folder) if entry.status == "done"]
        if not runs:
            sys.exit(f"no finished runs below {folder}")
        log_z, mean, origin = truth(folder, runs)
        notes.append(f"{folder.name}: log Z {log_z:.3f}, mean scaled reward {mean:.3f} ({origin})")
        kinds: dict[tuple[str, float], list[tuple[Path, RunSummary]]] = {}
        for run in (run for run in runs if not is_base(run)):
            key = (method_of(run), read_budget(folder / run.name, run.settings))
            kinds.setdefault(key, []).append((folder, run))
        cells += [cell(folder.name, *key, members, log_z, mean) for key, members in kinds.items()]
    names = list(cells[0].quality)
    text = "\n".join([*notes, "", *(table(cells, name) for name in names), *(optimal(cells, [name]) for name in names)])
    print(text)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.with_suffix(".md").write_text(text + "\n")
    draw(options.out.with_suffix(".png"), cells, names, "noise_smc")


if __name__ == "__main__":
    sys.exit(script(main))
