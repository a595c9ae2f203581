"""How near are samples that are tilted to a digit to real images of it?

A row for each kind of runs of ``experiment=mnist_zeros``, over its seeds. The weighted samples are drawn by weight and
compared, in features that no reward uses, with every second real test image of the digit. As many of the other real
images, the row *real*, show what perfect samples would get. The base runs make a row *rejection*: a sample is accepted
with the probability that the classifier gives the digit, which is exact tilting at scale 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from fmtt.data.mnist import load_mnist, to_unit_range
from fmtt.evaluation.evaluators import DigitEvaluator
from fmtt.evaluation.feature_distances import covered, frechet_distance
from fmtt.flow import noise
from fmtt.report.common.estimates import Estimate, mean_and_error
from fmtt.report.common.placement import drawn_by_weight
from fmtt.report.comparison.run_summary import RunSummary
from fmtt.smc.diagnostics import log_mean_and_error
from fmtt.studies.output import COLORS, MARKERS, write_study
from fmtt.studies.runs import finished_runs, grouped, is_base, log_z_of, tensors_of, values_of

METRICS = {
    "ESS": "ess/final", "discrepancy": "discrepancy", "length": "thermodynamic_length", "ancestors": "ancestors/unique",
    "network evaluations": "nfe/weighted/group",
}  # fmt: skip


@dataclass(frozen=True)
class DigitRow:
    """One kind of samples: its name, its features by run and the columns of the table."""

    name: str
    features: Sequence[Tensor]
    columns: dict[str, Estimate]


def kind_of(run: RunSummary) -> str:
    """The look-ahead, with the weights if they are not those that it brings."""
    return "base" if is_base(run) else values_of(run.settings, ("lookahead", "mode.weights")) or "default"


def drawn(tensors: Mapping[str, Tensor]) -> Tensor:
    """All samples of a run, drawn by weight within their groups, ``(B, *D)``."""
    index = torch.from_numpy(drawn_by_weight(tensors["log_weights"].numpy()))
    rows = torch.arange(len(index))[:, None]
    return tensors["samples"][rows, index].flatten(0, 1)


def jackknife(measure: Callable[[Tensor], float], parts: Sequence[Tensor]) -> Estimate:
    """``measure`` of all parts together, and its standard error from leaving out each of them."""
    whole, count = torch.cat(list(parts)), len(parts)
    if count == 1:
        return measure(whole), math.nan
    without = [measure(torch.cat([*parts[:k], *parts[k + 1 :]])) for k in range(count)]
    return measure(whole), float(np.std(without)) * math.sqrt(count - 1)


def compared_with_real(name: str, features: Sequence[Tensor], real: Tensor, columns: dict[str, Estimate]) -> DigitRow:
    """The row of samples with ``features``; every measure depends on their number, so as many are taken as are real."""
    features = [part[: len(real) // len(features)] for part in features]
    measured = {
        "Frechet": jackknife(lambda part: frechet_distance(part, real), features),
        "precision": jackknife(lambda part: covered(part, by=real), features),
        "recall": jackknife(lambda part: covered(real, by=part), features),
    }
    return DigitRow(name, features, columns | measured)


def tilted_row(name: str, runs: Sequence[RunSummary], judge: DigitEvaluator, digit: int, real: Tensor) -> DigitRow:
    """The row of tilted runs."""
    share = np.array([run.numbers("classes/tilted")[digit] for run in runs])
    columns = {"accuracy": mean_and_error(share)}
    columns |= {title: mean_and_error(np.array([run.number(key) for run in runs])) for title, key in METRICS.items()}
    columns["log Z"] = log_mean_and_error(log_z_of(runs))
    return compared_with_real(name, [judge.features(drawn(tensors_of(run))) for run in runs], real, columns)


def rejection_row(runs: Sequence[RunSummary], judge: DigitEvaluator, digit: int, real: Tensor) -> DigitRow:
    """The base samples that are accepted with probability ``exp(r)``; the rewards are log-probabilities."""
    accepted, chances = [], []
    for run in runs:
        tensors = tensors_of(run)
        chance = tensors["rewards"].flatten().exp()
        u = noise.uniform(chance.shape, int(run.settings.get("seed", 0)), "rejection")
        accepted.append(tensors["samples"].flatten(0, 1)[u < chance])
        chances.append(chance)
    shares = np.array([(judge(part).label == digit).double().mean().item() for part in accepted])
    columns = {"accuracy": mean_and_error(shares), "log Z": log_mean_and_error(torch.cat(chances).log())}
    return compared_with_real("rejection", [judge.features(part) for part in accepted], real, columns)


def _cell(estimate: Estimate | None) -> str:
    if estimate is None:
        return ""
    value, error = estimate
    return f"{value:.3g}" if math.isnan(error) else f"{value:.3g} ± {error:.1g}"


def digit_table(rows: Sequence[DigitRow]) -> str:
    """A row for each kind of samples; a cell is empty if the kind has no such column."""
    titles = list(dict.fromkeys(title for row in rows for title in row.columns))
    lines = [f"| | samples | {' | '.join(titles)} |", "|---" * (len(titles) + 2) + "|"]
    for row in rows:
        cells = [_cell(row.columns.get(title)) for title in titles]
        lines.append(f"| {row.name} | {sum(map(len, row.features))} | {' | '.join(cells)} |")
    return "\n".join(lines)


def draw_lengths(kinds: Mapping[str, Sequence[RunSummary]]) -> Figure:
    """The thermodynamic length of each run against its reward."""
    figure = Figure(figsize=(8.5, 4.6), layout="constrained")
    axis = figure.subplots()
    for (name, runs), color, marker in zip(kinds.items(), COLORS, MARKERS, strict=False):
        length, reward = ([run.number(key) for run in runs] for key in ("thermodynamic_length", "reward/weighted_mean"))
        axis.scatter(length, reward, label=name, color=color, marker=marker, s=40)
    axis.set(xlabel="thermodynamic length", ylabel="mean reward of the weighted samples")
    axis.set_yscale("symlog", linthresh=0.01)  # log-probabilities: most are near 0, and few are far below
    axis.grid(color="#e2e8f0")
    axis.set_axisbelow(True)
    figure.legend(*axis.get_legend_handles_labels(), loc="outside right upper")  # beside the marks, not above
    return figure


@torch.no_grad()
def study_tilt_to_digit(folders: Sequence[Path], digit: int, out: Path) -> str:
    """Write and return the table of all kinds of samples; the figure shows length against reward.

    Raises:
        ValueError: if there are no finished runs.
    """
    kinds = grouped(finished_runs(folders), kind_of)
    judge, (images, labels) = DigitEvaluator(), load_mnist("test")
    real = judge.features(to_unit_range(images[labels == digit]))
    base = kinds.pop("base", None)
    rows = [tilted_row(name, runs, judge, digit, real[1::2]) for name, runs in kinds.items()]
    rows += [rejection_row(base, judge, digit, real[1::2])] if base else []
    rows.append(compared_with_real("real", real[0::2].tensor_split(8), real[1::2], {}))
    share = (load_mnist("train")[1] == digit).double().mean().item()
    text = f"{digit_table(rows)}\n\nLog of the share of the digit among the training images: {math.log(share):.3f}"
    write_study(out, text, draw_lengths(kinds), dpi=120)
    return text
