"""Which methods edit scenes as they are asked to, and keep the rest?

The pictures that the runs of ``experiment=scenes_edit`` return are read by the exact judge, which no reward uses. An
edit is made if the answer to its question is yes; the rest is kept if all other objects are where they were. Errors
are over the pictures that were edited. All samples of the base model count; it is told the prompt, not the question.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from matplotlib.figure import Figure
from torch import Tensor

from fmtt.data.images import read_sample
from fmtt.report.comparison.run_summary import RunSummary
from fmtt.run_folder import SAMPLES, read_config
from fmtt.smc.diagnostics import mean_and_error
from fmtt.studies.maximisers import APART
from fmtt.studies.output import markdown_table, per_cent, write_study
from fmtt.studies.runs import finished_runs, grouped, is_base, method_name, returned, tensors_of

VERDICTS = {"edited": "both, %", "made": "change made, %", "kept": "rest kept, %", "says_yes": "reward says yes, %",
            "broken": "broken, %"}  # fmt: skip
PICTURED = 6  # edits of the figure, and samples of each

Edits = Mapping[str, RunSummary]  # the runs of one method, by the path of the picture


def picture_of(run: RunSummary) -> str:
    """The path of the picture that a run edits."""
    return str(read_config(run.folder)["sampler"]["start"]["path"])


def share(run: RunSummary, verdict: str) -> float:
    """Of which share of the returned pictures a verdict is true; for the base model of all samples."""
    return run.number(f"{verdict}/{'unweighted' if is_base(run) else 'selected'}")


def shares(edits: Edits, verdict: str) -> Tensor:
    """The shares of all pictures, in the order of their paths, ``(P,)``."""
    return torch.tensor([share(edits[path], verdict) for path in sorted(edits)], dtype=torch.float64)


def edit_table(methods: Mapping[str, Edits]) -> str:
    """A row for each method, best first: shares over pictures, with their standard errors.

    How far a method is below the best one is paired by pictures.
    """
    ordered = sorted(methods.items(), key=lambda method: -shares(method[1], "edited").mean())
    best, rows = shares(ordered[0][1], "edited"), []
    for name, edits in ordered:
        cost = sum(run.number("nfe/weighted/group") for run in edits.values()) / len(edits)
        said = [per_cent(mean_and_error(shares(edits, verdict))) for verdict in VERDICTS]
        rows.append([name, f"{cost:.0f}", *said, per_cent(mean_and_error(best - shares(edits, "edited")))])
    return markdown_table(["method", "cost", *VERDICTS.values(), "below the best"], rows)


def draw_edits(methods: Mapping[str, Edits], each: int = 2) -> Figure:
    """A row for each method, under the pictures and the questions: the first edits of the first pictures."""
    asked = sorted({path: run for edits in methods.values() for path, run in edits.items()}.items())[:PICTURED]
    figure = Figure(figsize=(6 + 2.4 * len(asked), 1.3 * (len(methods) + 1)), layout="constrained")
    axes = figure.subplots(len(methods) + 1, len(asked), squeeze=False)
    for axis, (path, run) in zip(axes[0], asked, strict=True):
        axis.imshow(shown(read_sample("sampler.start.path", path, samples_of(run).shape[1:])[None]))
        axis.set_title(read_config(run.folder)["reward"]["terms"]["change"]["question"], fontsize=8)
    for row, (name, edits) in zip(axes[1:], methods.items(), strict=True):
        row[0].set_ylabel("\n".join(name.split()), fontsize=7, rotation=0, ha="right", va="center")
        for axis, (path, _) in zip(row, asked, strict=True):
            axis.imshow(shown(samples_of(edits[path])[:each]))
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
    return figure


def samples_of(run: RunSummary) -> Tensor:
    """The pictures that a run returns, all samples of the base model, ``(B, 3, H, W)``."""
    tensors = tensors_of(run)
    return tensors["samples"].flatten(0, 1) if is_base(run) else returned(tensors, "samples")


def shown(pictures: Tensor) -> Tensor:
    """Pictures ``(B, 3, H, W)`` side by side, ``(H, B W, 3)`` in [0, 1]."""
    return torch.cat(list((pictures.clamp(-1, 1) + 1) / 2), dim=2).permute(1, 2, 0)


def study_edits(folders: Sequence[Path], out: Path) -> str:
    """Write and return the table; the figure shows edits, ``OUT.png``, if all runs have their samples.

    Raises:
        ValueError: if there are no finished runs, or if a method did not edit all pictures.
    """
    runs = finished_runs(folders)
    methods = {
        name: {picture_of(run): run for run in own}
        for name, own in grouped(runs, lambda run: method_name(run.settings, APART)).items()
    }
    asked = {path for edits in methods.values() for path in edits}
    for name, edits in methods.items():
        if len(edits) < len(asked):
            raise ValueError(f"{name}: edited {len(edits)} of {len(asked)} pictures; the others are missing")
    text = edit_table(methods)
    pictured = all((run.folder / SAMPLES).is_file() for run in runs)
    write_study(out, text, draw_edits(methods) if pictured else None, dpi=120)
    return text
