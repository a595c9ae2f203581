"""Which methods edit scenes as they are asked to, and keep the rest?

The pictures that the runs of ``experiment=scenes_edit`` return are read by the exact judge, which no reward uses. An
edit is made if the answer to its question is yes; the rest is kept if all other objects are where they were. Errors
are over the pictures that were edited. All samples of the base model count; it is told the prompt, not the question.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from matplotlib.figure import Figure
from torch import Tensor

from fmtt.data.images import read_sample
from fmtt.data.questions import answered, understood_question
from fmtt.data.scene_edits import kept
from fmtt.data.scene_reader import read
from fmtt.report.comparison.run_summary import RunSummary
from fmtt.run_folder import read_config
from fmtt.smc.diagnostics import mean_and_error
from fmtt.studies.output import markdown_table, per_cent, write_study
from fmtt.studies.runs import finished_runs, grouped, is_base, method_name, returned, tensors_of

EDIT = ("sampler.start.path", "prompt", "reward.terms.change.question")  # what says which picture is changed, and how
APART = (*EDIT, "population.groups", "population.particles", "budget.nfe")
VERDICTS = ("made", "kept", "both", "broken")


@dataclass(frozen=True)
class Edits:
    """The edits of one picture by one method.

    Attributes:
        path: of the picture.
        picture: what was edited, ``(3, H, W)``.
        question: what is asked of an edit.
        edits: ``(B, 3, H, W)``.
        verdicts: for each of :data:`VERDICTS` whether it is so, ``(B,)``.
        cost: weighted network evaluations for each edit.
    """

    path: str
    picture: Tensor
    question: str
    edits: Tensor
    verdicts: Mapping[str, Tensor]
    cost: float


def edits_of(run: RunSummary) -> Edits:
    """The edits that a run returns, as the exact judge reads them."""
    config, tensors = read_config(run.folder), tensors_of(run)
    edits = tensors["samples"].flatten(0, 1) if is_base(run) else returned(tensors, "samples")
    question, path = config["reward"]["terms"]["change"]["question"], config["sampler"]["start"]["path"]
    picture = read_sample("sampler.start.path", path, edits.shape[1:])
    cost = run.number("nfe/weighted") / len(edits)
    return Edits(path, picture, question, edits, judged(picture, question, edits), cost)


def judged(picture: Tensor, question: str, edits: Tensor) -> dict[str, Tensor]:
    """The verdicts of the exact judge on ``edits (B, 3, H, W)`` of a picture, ``(B,)`` each."""
    asked, before, after = understood_question(question), read(picture[None]), read(edits)
    made = answered(asked, after.things) & ~after.broken
    rest = kept(before.things, after.things, asked.groups[0].shape) & ~after.broken
    return {"made": made, "kept": rest, "both": made & rest, "broken": after.broken}


def edit_table(methods: Mapping[str, Sequence[Edits]]) -> str:
    """A row for each method: shares over pictures, with their standard errors."""
    rows = []
    for name, pictures in methods.items():
        shares = {
            verdict: torch.stack([edit.verdicts[verdict].double().mean() for edit in pictures]) for verdict in VERDICTS
        }
        cost = sum(edit.cost for edit in pictures) / len(pictures)
        rows.append([name, f"{cost:.0f}", *(per_cent(mean_and_error(shares[verdict])) for verdict in VERDICTS)])
    return markdown_table(["method", "cost", "change made, %", "rest kept, %", "both, %", "broken, %"], rows)


def draw_edits(methods: Mapping[str, Sequence[Edits]], each: int = 2) -> Figure:
    """A row for each method, under the pictures and the questions: the first edits of each picture."""
    pictures = {edit.path: edit for edits in methods.values() for edit in edits}
    figure = Figure(figsize=(6 + 2.4 * len(pictures), 1.3 * (len(methods) + 1)), layout="constrained")
    axes = figure.subplots(len(methods) + 1, len(pictures), squeeze=False)
    for axis, edit in zip(axes[0], pictures.values(), strict=True):
        axis.imshow(shown(edit.picture[None]))
        axis.set_title(edit.question, fontsize=8)
    for row, (name, edits) in zip(axes[1:], methods.items(), strict=True):
        row[0].set_ylabel(name, fontsize=7, rotation=0, ha="right", va="center")
        for edit in edits:
            row[list(pictures).index(edit.path)].imshow(shown(edit.edits[:each]))
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
    return figure


def shown(pictures: Tensor) -> Tensor:
    """Pictures ``(B, 3, H, W)`` side by side, ``(H, B W, 3)`` in [0, 1]."""
    return torch.cat(list((pictures.clamp(-1, 1) + 1) / 2), dim=2).permute(1, 2, 0)


def study_edits(folders: Sequence[Path], out: Path) -> str:
    """Write and return the table; the figure shows edits, ``OUT.png``.

    Raises:
        ValueError: if there are no finished runs.
    """
    runs = sorted(finished_runs(folders), key=lambda run: run.settings.get("sampler.start.path", ""))
    methods = {
        name: [edits_of(run) for run in own]
        for name, own in grouped(runs, lambda run: method_name(run.settings, APART)).items()
    }
    text = edit_table(methods)
    write_study(out, text, draw_edits(methods), dpi=120)
    return text
