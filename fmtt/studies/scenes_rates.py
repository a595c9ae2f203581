"""How often does the base model show each prompt?

A tilt cannot bring what the model never draws. Every returned picture of runs of ``mode=base`` counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from matplotlib.figure import Figure
from torch import Tensor

from fmtt.run_folder import read_prompts
from fmtt.smc.diagnostics import mean_and_error
from fmtt.studies.output import COLORS, markdown_table, per_cent, write_study
from fmtt.studies.runs import finished_runs, is_base
from fmtt.studies.scenes_geneval import verdicts_of


def rates_table(rates: Tensor, texts: Sequence[str], categories: Sequence[str]) -> str:
    """A row for each category, and below the prompts that are never shown; ``rates (P,)``."""
    rows = []
    for name in dict.fromkeys(categories):
        own = rates[[category == name for category in categories]]
        ends = (f"{100 * end.item():.1f}" for end in (own.min(), own.max()))
        rows.append([name, str(len(own)), per_cent(mean_and_error(own)), *ends, str(int((own == 0).sum()))])
    never = [text for text, rate in zip(texts, rates.tolist(), strict=True) if rate == 0]
    table = markdown_table(["category", "prompts", "right, %", "least", "most", "never shown"], rows)
    return "\n\n".join([table, *(["Never shown: " + "; ".join(never)] if never else [])])


def draw_rates(rates: Mapping[str, Tensor]) -> Figure:
    """The rates of each category, sorted."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    axis = figure.subplots()
    for (name, own), color in zip(rates.items(), COLORS, strict=False):
        ordered = own.sort(descending=True).values
        axis.plot(torch.linspace(0, 1, len(ordered)), 100 * ordered, marker=".", color=color, label=name)
    axis.set(xlabel="prompts of a category, from the easiest to the hardest", ylabel="right by the exact judge, %")
    axis.set_yscale("symlog", linthresh=1)
    axis.set_ylim(0, 100)
    axis.grid(color="#e2e8f0")
    axis.legend()
    return figure


def study_rates(folders: Sequence[Path], out: Path) -> str:
    """Write and return the table of the runs of ``mode=base``; the figure is ``OUT.png``.

    Raises:
        ValueError: if there is none.
    """
    runs = [run for run in finished_runs(folders) if is_base(run)]
    if not runs:
        raise ValueError(f"no finished runs of mode=base below {', '.join(map(str, folders))}")
    verdicts = verdicts_of(runs)
    texts = [row["text"] for row in read_prompts(runs[0].folder)]
    right = verdicts.said["right"]
    text = rates_table(right, texts, verdicts.category)
    own = {name: right[[one == name for one in verdicts.category]] for name in dict.fromkeys(verdicts.category)}
    write_study(out, text, draw_rates(own), dpi=120)
    return text
