"""Do tilted scenes have the law that they should have, prompt by prompt?

The truth is had by rejection: samples of the runs of ``mode=base`` are accepted with probability ``exp(scale r)``,
since no reward is above 0. The weighted samples of the other runs must agree with them within errors: log Z, and the
share of pictures that show their prompt by the exact judge.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from matplotlib.figure import Figure
from torch import Tensor

from fmtt.data.captions import understood
from fmtt.data.scene_reader import judge, read
from fmtt.flow import noise
from fmtt.report.common.estimates import Estimate
from fmtt.report.comparison.run_summary import RunSummary
from fmtt.run_folder import read_config, read_prompts
from fmtt.smc.diagnostics import log_mean_and_error, pooled_mean, weighted_mean
from fmtt.studies.output import COLORS, MARKERS, markdown_table, per_cent, write_study
from fmtt.studies.runs import finished_runs, grouped, is_base, log_z_of, method_name, tensors_of

APART = ("population.groups", "population.particles", "population.chunk", "prompts_file")
BATCH = 512  # pictures read at once


@dataclass(frozen=True)
class PromptLaw:
    """An estimate of the tilted law of one prompt: log Z and the share of right pictures, with their errors."""

    log_z: Estimate
    right: Estimate


Laws = Mapping[str, PromptLaw]  # by the text of the prompt


def right_of(samples: Tensor, text: str) -> Tensor:
    """Which of ``samples (G, N, 3, H, W)`` show the prompt, ``(G, N)``."""
    caption = understood(text)
    parts = [judge([caption] * len(part), read(part)) for part in samples.flatten(0, 1).split(BATCH)]
    return torch.cat(parts).double().reshape(samples.shape[:2])


def by_rejection(right: Tensor, rewards: Tensor, scale: float, text: str) -> PromptLaw:
    """The law of the base model's samples that are accepted; ``right`` and ``rewards`` are ``(G, N)``.

    The error of a share of n samples is ``sqrt(p (1 - p) / n)`` with ``p = (k + 1) / (n + 2)``, which is not zero if
    none or all of them are right.
    """
    chance = (scale * rewards.double()).exp().flatten()
    accepted = noise.uniform(chance.shape, 0, "rejection", text) < chance
    number, hits = int(accepted.sum()), right.flatten()[accepted].sum().item()
    p = (hits + 1) / (number + 2)
    share = (hits / number, math.sqrt(p * (1 - p) / number)) if number else (math.nan, math.nan)
    return PromptLaw(log_mean_and_error(chance.log()), share)


def by_weights(right: Tensor, log_weights: Tensor, log_z: Tensor) -> PromptLaw:
    """The law of weighted samples; ``right`` and ``log_weights`` are ``(G, N)``, ``log_z`` is ``(G,)``."""
    mean, error = pooled_mean(weighted_mean(right, log_weights), log_z)
    return PromptLaw(log_mean_and_error(log_z), (mean.item(), error.item()))


def laws_of(runs: Sequence[RunSummary]) -> Laws:
    """The law of each prompt by the runs of a method, which differ in their seeds."""
    scale = float(read_config(runs[0].folder)["reward"]["scale"])
    texts = [row["text"] for row in read_prompts(runs[0].folder)]
    tensors = [tensors_of(run) for run in runs]
    arrays = {name: torch.cat([part[name] for part in tensors]) for name in tensors[0]}
    found = {}
    for number, text in enumerate(texts):
        own = arrays["prompt"] == number
        right = right_of(arrays["samples"][own], text)
        if is_base(runs[0]):
            found[text] = by_rejection(right, arrays["rewards"][own], scale, text)
        else:
            found[text] = by_weights(right, arrays["log_weights"][own], log_z_of(runs)[own])
    return found


def deviation(one: Estimate, other: Estimate) -> float:
    """The difference of two estimates in units of its standard error."""
    return (one[0] - other[0]) / math.hypot(one[1], other[1])


def law_table(methods: Mapping[str, Laws], truth: Laws) -> str:
    """A row for each prompt and method, with the deviations from the truth in standard errors."""
    rows = []
    for text, exact in truth.items():
        rows.append([text, "rejection", _log_z(exact), "", per_cent(exact.right), ""])
        for name, laws in methods.items():
            law = laws[text]
            apart = [deviation(law.log_z, exact.log_z), deviation(law.right, exact.right)]
            rows.append(["", name, _log_z(law), f"{apart[0]:+.1f}", per_cent(law.right), f"{apart[1]:+.1f}"])
    return markdown_table(["prompt", "", "log Z", "deviation", "right, %", "deviation"], rows)


def _log_z(law: PromptLaw) -> str:
    return f"{law.log_z[0]:.2f} ± {law.log_z[1]:.2f}"


def draw_laws(methods: Mapping[str, Laws], truth: Laws) -> Figure:
    """The share of right pictures by each method against that by rejection."""
    figure = Figure(figsize=(6.5, 5), layout="constrained")
    axis = figure.subplots()
    for number, (name, laws) in enumerate(methods.items()):
        exact, found = (100 * torch.tensor([law.right for law in known.values()]) for known in (truth, laws))
        axis.errorbar(exact[:, 0], found[:, 0], found[:, 1], exact[:, 1], marker=MARKERS[number], color=COLORS[number],
                      linestyle="", label=name)  # fmt: skip
    axis.plot([0, 100], [0, 100], color="#cbd5e1", linewidth=1)
    axis.set(xlabel="right by rejection, %", ylabel="right among weighted samples, %")
    axis.legend(fontsize=8)
    return figure


def study_scenes_law(folders: Sequence[Path], out: Path) -> str:
    """Write and return the table of all prompts; the figure compares shares, ``OUT.png``.

    Raises:
        ValueError: if there are no finished runs, or none of the base model.
    """
    runs = finished_runs(folders)
    base = [run for run in runs if is_base(run)]
    if not base:
        raise ValueError(f"no finished runs of mode=base below {', '.join(map(str, folders))}")
    tilted = grouped([run for run in runs if not is_base(run)], lambda run: method_name(run.settings, APART))
    truth, methods = laws_of(base), {name: laws_of(own) for name, own in tilted.items()}
    text = law_table(methods, truth)
    write_study(out, text, draw_laws(methods, truth), dpi=120)
    return text
