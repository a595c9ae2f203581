"""Which settings of each method are best on the tasks of tuning?

Each folder holds the trials of one method: runs on the tasks of tuning, none of which is reported. Folders of the same
name hold trials of the same method, those of the first folder being the earlier ones. The trial with the
largest share of successes is taken, the mean over tasks, costs and categories of prompts; on a tie the earlier one. A
trial has no success where its smallest run costs more than the budget. The first trial is the published setting. What
a success is, :mod:`fmtt.studies.maximisers` says.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from fmtt.report.comparison.run_summary import RunSummary
from fmtt.report.comparison.settings import SEEDS, is_indifferent
from fmtt.report.comparison.sweep import failures, read_sweep
from fmtt.run_folder import read_prompts
from fmtt.smc.diagnostics import mean_and_error
from fmtt.studies.maximisers import APART, columns, successes
from fmtt.studies.output import markdown_table, per_cent
from fmtt.studies.runs import grouped

SIZES = ("experiment", "baseline", "prompts_file", *SEEDS, *APART)


def words_of(run: RunSummary) -> str:
    """What the user types for the method of a trial, without task, sizes and seed."""
    kept = {key: value for key, value in run.settings.items() if key not in SIZES and not is_indifferent(key)}
    return " ".join(f"{key}={value}" for key, value in kept.items())


def without_repeats(runs: Sequence[RunSummary]) -> list[RunSummary]:
    """The first of all runs with the same settings."""
    return [members[0] for members in grouped(runs, lambda run: tuple(sorted(run.settings.items()))).values()]


def shares_of(run: RunSummary) -> list[tuple[float, float]]:
    """The share of successes of a run with its error; one for each category of its prompts, if it has some."""
    found, prompts = successes(run), read_prompts(run.folder)
    if not prompts:
        return [mean_and_error(found)]
    categories = [row["category"] for row in prompts]
    own = [categories[int(number)] for number in columns(run)["prompt"].tolist()]
    return [mean_and_error(found[[name == one for one in own]]) for name in dict.fromkeys(categories)]


def share_of(shares: Sequence[tuple[float, float]], cells: int) -> tuple[float, float]:
    """The mean over ``cells`` cells, with its error; a trial has no success in a cell where it has no result."""
    found = torch.tensor(shares, dtype=torch.float64)
    return found[:, 0].sum().item() / cells, found[:, 1].square().sum().sqrt().item() / cells


def study_tuning(folders: Sequence[Path], out: Path) -> str:
    """Write ``OUT.md``, all trials, and ``OUT.txt``, a line of words for each method; returns the table.

    Raises:
        ValueError: if no trial of a method is done.
    """
    rows, chosen, notes = [], [], []
    for name, own in grouped(folders, lambda folder: folder.name).items():
        runs = without_repeats([run for folder in own for run in read_sweep(folder)])
        notes += failures(runs)
        trials = grouped([run for run in runs if run.done], words_of)
        if not trials:
            raise ValueError(f"no finished runs below {', '.join(map(str, own))}")
        found = {words: [share for run in own for share in shares_of(run)] for words, own in trials.items()}
        cells = max(map(len, found.values()))
        shares = {words: share_of(own, cells) for words, own in found.items()}
        best = max(shares, key=lambda words: shares[words][0])
        chosen.append(best)
        for words, members in trials.items():
            cost = sum(run.number("nfe/weighted/group") for run in members) / len(members)
            mark = "taken" if words == best else ""
            rows.append([name, words, str(len(members)), f"{cost:.0f}", per_cent(shares[words]), mark])
    table = markdown_table(["method", "trial", "runs", "mean cost", "success, %", ""], rows)
    text = "\n\n".join([table, *notes])
    out.parent.mkdir(parents=True, exist_ok=True)
    out.with_suffix(".md").write_text(text + "\n")
    out.with_suffix(".txt").write_text("\n".join(chosen) + "\n")
    return text
