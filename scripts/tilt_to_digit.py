"""Samples tilted to a digit against real ones: ``python scripts/tilt_to_digit.py FOLDER ... [--digit 0] [--out FILE]``.

Reads the runs of ``experiment=mnist_zeros``: one row for each kind, over its seeds. The weighted samples are drawn by
weight and compared, in features that no reward uses, with every second real test image of the digit; as many of the
others, the row *real*, show what perfect samples would get. The base runs are made a row *rejection*: a sample is
accepted with the probability that the classifier gives the digit, which is exact tilting at scale 1. Writes FILE.md and
FILE.png with the thermodynamic length of each run against its reward.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from safetensors.torch import load_file
from torch import Tensor

from fmtt.data.mnist import load_mnist, to_unit_range
from fmtt.evaluation.evaluators import DigitEvaluator
from fmtt.evaluation.feature_distances import covered, frechet_distance
from fmtt.flow import noise
from fmtt.report.common.estimates import mean_and_error
from fmtt.report.common.placement import drawn_by_weight
from fmtt.report.comparison.run_summary import RunSummary
from fmtt.report.comparison.settings import values_of
from fmtt.report.comparison.sweep import read_sweep
from fmtt.report.frontier import COLORS, MARKERS
from fmtt.run_folder import SAMPLES
from fmtt.smc.diagnostics import log_mean_and_error

METRICS = {
    "ESS": "ess/final", "discrepancy": "discrepancy", "length": "thermodynamic_length", "ancestors": "ancestors/unique",
    "network evaluations": "nfe/weighted/group",
}  # fmt: skip


@dataclass(frozen=True)
class Row:
    """What is known of one kind of samples: its name, its features by run and the columns of the table."""

    name: str
    features: Sequence[Tensor]
    columns: dict[str, tuple[float, float]]


def name_of(entry: RunSummary) -> str:
    """The look-ahead, with the weights where they are not those that it brings."""
    if entry.settings.get("mode") == "base":
        return "base"
    return values_of(entry.settings, ("lookahead", "mode.weights")) or "default"


def drawn(arrays: dict[str, Tensor]) -> Tensor:
    """All samples of a run, drawn by weight within their groups, ``(B, *D)``."""
    index = torch.from_numpy(drawn_by_weight(arrays["log_weights"].numpy()))
    rows = torch.arange(len(index))[:, None]
    return arrays["samples"][rows, index].flatten(0, 1)


def jackknife(measure: Callable[[Tensor], float], parts: Sequence[Tensor]) -> tuple[float, float]:
    """``measure`` of all parts together, and its standard error from leaving out each of them."""
    whole, count = torch.cat(list(parts)), len(parts)
    if count == 1:
        return measure(whole), math.nan
    without = [measure(torch.cat([*parts[:k], *parts[k + 1 :]])) for k in range(count)]
    return measure(whole), float(np.std(without)) * math.sqrt(count - 1)


def against_real(name: str, features: Sequence[Tensor], real: Tensor, columns: dict[str, tuple[float, float]]) -> Row:
    """All that is measured depends on the number of samples, so that of every kind as many are taken as are real."""
    features = [part[: len(real) // len(features)] for part in features]
    measured = {
        "Frechet": jackknife(lambda part: frechet_distance(part, real), features),
        "precision": jackknife(lambda part: covered(part, by=real), features),
        "recall": jackknife(lambda part: covered(real, by=part), features),
    }
    return Row(name, features, columns | measured)


def tilted(name: str, runs: list[tuple[Path, RunSummary]], judge: DigitEvaluator, digit: int, real: Tensor) -> Row:
    arrays = [load_file(folder / entry.name / SAMPLES) for folder, entry in runs]
    share = np.array([entry.metrics["classes/tilted"][digit] for _, entry in runs])
    columns = {"accuracy": mean_and_error(share)}
    columns |= {title: mean_and_error(np.array([e.metrics[key] for _, e in runs])) for title, key in METRICS.items()}
    log_z = torch.tensor([value for _, entry in runs for value in entry.metrics["log_z"]], dtype=torch.float64)
    columns["log Z"] = log_mean_and_error(log_z)
    return against_real(name, [judge.features(drawn(part)) for part in arrays], real, columns)


def rejected(runs: list[tuple[Path, RunSummary]], judge: DigitEvaluator, digit: int, real: Tensor) -> Row:
    """The base samples of each run that are accepted with probability ``exp(r)``; the rewards are log-probabilities."""
    accepted, chances = [], []
    for folder, entry in runs:
        arrays = load_file(folder / entry.name / SAMPLES)
        chance = arrays["rewards"].flatten().exp()
        u = noise.uniform(chance.shape, int(entry.settings.get("seed", 0)), "rejection")
        accepted.append(arrays["samples"].flatten(0, 1)[u < chance])
        chances.append(chance)
    shares = np.array([(judge(part).label == digit).double().mean().item() for part in accepted])
    columns = {"accuracy": mean_and_error(shares), "log Z": log_mean_and_error(torch.cat(chances).log())}
    return against_real("rejection", [judge.features(part) for part in accepted], real, columns)


def cell(estimate: tuple[float, float] | None) -> str:
    if estimate is None:
        return ""
    value, error = estimate
    return f"{value:.3g}" if math.isnan(error) else f"{value:.3g} ± {error:.1g}"


def table(rows: Sequence[Row]) -> str:
    titles = list(dict.fromkeys(title for row in rows for title in row.columns))
    lines = [f"| | samples | {' | '.join(titles)} |", "|---" * (len(titles) + 2) + "|"]
    for row in rows:
        cells = [cell(row.columns.get(title)) for title in titles]
        lines.append(f"| {row.name} | {sum(map(len, row.features))} | {' | '.join(cells)} |")
    return "\n".join(lines)


def draw(path: Path, kinds: dict[str, list[tuple[Path, RunSummary]]]) -> None:
    """Length against reward, a mark for each run."""
    figure = Figure(figsize=(8.5, 4.6), layout="constrained")
    axis = figure.subplots()
    for (name, runs), color, marker in zip(kinds.items(), COLORS, MARKERS, strict=False):
        length, reward = (
            [entry.metrics[key] for _, entry in runs] for key in ("thermodynamic_length", "reward/weighted_mean")
        )
        axis.scatter(length, reward, label=name, color=color, marker=marker, s=40)
    axis.set(xlabel="thermodynamic length", ylabel="mean reward of the weighted samples")
    axis.set_yscale("symlog", linthresh=0.01)  # log-probabilities: most are near 0, and few are far below
    axis.grid(color="#e2e8f0")
    axis.set_axisbelow(True)
    figure.legend(*axis.get_legend_handles_labels(), loc="outside right upper")  # beside the marks, not above
    figure.savefig(path, dpi=120)


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--digit", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("outputs/mnist_zeros"))
    options = parser.parse_args()
    done = [(folder, entry) for folder in options.folders for entry in read_sweep(folder) if entry.status == "done"]
    if not done:
        sys.exit(f"no finished runs below {', '.join(map(str, options.folders))}")
    judge, (images, labels) = DigitEvaluator(), load_mnist("test")
    real = judge.features(to_unit_range(images[labels == options.digit]))
    kinds: dict[str, list[tuple[Path, RunSummary]]] = {}
    for run in done:
        kinds.setdefault(name_of(run[1]), []).append(run)
    base = kinds.pop("base", None)
    rows = [tilted(name, runs, judge, options.digit, real[1::2]) for name, runs in kinds.items()]
    rows += [rejected(base, judge, options.digit, real[1::2])] if base else []
    rows.append(against_real("real", real[0::2].tensor_split(8), real[1::2], {}))
    share = (load_mnist("train")[1] == options.digit).double().mean().item()
    text = f"{table(rows)}\n\nLog of the share of the digit among the training images: {math.log(share):.3f}"
    print(text)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.with_suffix(".md").write_text(text + "\n")
    draw(options.out.with_suffix(".png"), kinds)


if __name__ == "__main__":
    main()
