"""GenEval in small: which methods make pictures that show their prompt?

The pictures that the runs of ``experiment=scenes_geneval`` return are read by the exact judge, which no reward uses. A
row for each method, a column for each category. Over all is the mean over categories. Errors are over prompts, since
the pictures of a prompt are not independent. What the network of the reward says yes to and the judge does not is
reward hacking.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from matplotlib.figure import Figure
from torch import Tensor

from fmtt.report.comparison.run_summary import RunSummary
from fmtt.report.comparison.settings import read_settings
from fmtt.report.comparison.sweep import failures, read_sweep
from fmtt.run_folder import read_prompts, read_returned, verdicts_in
from fmtt.smc.diagnostics import mean_and_error
from fmtt.studies.output import COLORS, MARKERS, markdown_table, per_cent, write_study
from fmtt.studies.runs import finished_runs, grouped, is_base, method_name

APART = ("budget.nfe", "prompts_file", "population.groups", "population.particles", "population.chunk", "role")
SAID = {"right": "over all", "says_yes": "reward says yes", "second_says_yes": "second says yes", "broken": "broken"}


@dataclass(frozen=True)
class Verdicts:
    """What is said of the pictures that a method returns.

    Attributes:
        said: of each prompt the share of pictures that are right, that networks say yes to, and that are broken, by
            name; ``(P,)`` each.
        category: of each prompt.
        cost: weighted network evaluations for each picture.
        seconds: for each picture.
    """

    said: Mapping[str, Tensor]
    category: tuple[str, ...]
    cost: float
    seconds: float

    def share(self, name: str, category: str) -> tuple[float, float]:
        """The mean over the prompts of a category, and its standard error (NaN for a single prompt)."""
        return mean_and_error(self.said[name][[own == category for own in self.category]])

    def over_all(self, name: str) -> tuple[float, float]:
        """The mean over categories, and its standard error."""
        shares = [self.share(name, category) for category in dict.fromkeys(self.category)]
        error = math.sqrt(sum(error**2 for _, error in shares)) / len(shares)
        return sum(mean for mean, _ in shares) / len(shares), error

    def gain(self, other: Verdicts) -> tuple[float, float]:
        """How much more is right than with another method, prompt by prompt, and its standard error."""
        apart = {"right": self.said["right"] - other.said["right"]}
        return replace(self, said=apart).over_all("right")


def verdicts_of(runs: Sequence[RunSummary]) -> Verdicts:
    """The verdicts on the pictures that all of ``runs`` return, which have the same prompts."""
    prompts = read_prompts(runs[0].folder)
    rows = [row for run in runs for row in read_returned(run.folder)]
    own = [[verdicts_in(row) for row in rows if row["prompt"] == prompt["prompt"]] for prompt in prompts]
    said = {
        name: torch.tensor([sum(row[name] for row in pictures) / len(pictures) for pictures in own])
        for name in verdicts_in(rows[0])
    }
    cost, seconds = (sum(run.number(name) for run in runs) / len(rows) for name in ("nfe/weighted", "time/method_s"))
    return Verdicts(said, tuple(prompt["category"] for prompt in prompts), cost, seconds)


def geneval_table(methods: Mapping[str, Verdicts]) -> str:
    """A row for each method, best first; gains are over the base model, if there is one, by its most expensive row.

    How far a method is below the best one is paired by prompts, as gains are.
    """
    first = next(iter(methods.values()))
    bases = [method for name, method in methods.items() if name.split()[0] == "base"]
    base = max(bases, key=lambda method: method.cost, default=None)
    names = list(dict.fromkeys(first.category))
    ordered = sorted(methods.items(), key=lambda method: -method[1].over_all("right")[0])
    best, rows = ordered[0][1], []
    for name, method in ordered:
        said = [per_cent(method.over_all(which)) for which in SAID if which in method.said]
        gain = [per_cent(best.gain(method)), *([] if base is None else [per_cent(method.gain(base))])]
        rows.append([name, f"{method.cost:.0f}", f"{method.seconds:.2f}",
                     *(per_cent(method.share("right", category)) for category in names), *said, *gain])  # fmt: skip
    known = [title for which, title in SAID.items() if which in first.said]
    return markdown_table(
        ["method", "cost", "seconds", *names, *known, "below the best", *([] if base is None else ["gain"])], rows
    )


def look_aheads_table(methods: Mapping[str, Verdicts]) -> str:
    """What FMTT search by other look-aheads gains over that by the denoiser; empty if there is none.

    Of several searches by the denoiser it is the one with the fewest settings, which is not damped.
    """
    searches = {name: method for name, method in methods.items() if name.split()[0] == "search"}
    by_denoiser = [name for name in searches if "lookahead=denoiser" in name.split()]
    denoiser = searches[min(by_denoiser, key=lambda name: len(name.split()))] if by_denoiser else None
    rows = [] if denoiser is None else [
        [name, per_cent(method.gain(denoiser))] for name, method in searches.items() if method is not denoiser
    ]  # fmt: skip
    return markdown_table(["method", "gain over the denoiser"], rows) if rows else ""


def short_name(name: str) -> str:
    """The mode, and the settings that tell apart what has the same mode in the tables of this study."""
    mode, *words = name.split()
    told = dict(word.split("=", 1) for word in words)
    parts = [
        told.get("lookahead", ""),
        told.get("sampler/transport", told.get("sampler.transport", "")) if mode in ("base", "best_of_n") else "",
        f"{told['sampler.steps']} steps" if mode in ("base", "best_of_n") and "sampler.steps" in told else "",
        "landing" if told.get("sampler/transport") == "landing" and mode == "search" else "",
        "damped" if "sampler/damping" in told else "",
    ]
    return " ".join([mode, *filter(None, parts)])


def draw_hacking(methods: Mapping[str, Verdicts]) -> Figure:
    """The share that the reward's network says yes to against the share that is right; below the line is hacking."""
    figure = Figure(figsize=(8, 8), layout="constrained")
    axis = figure.subplots()
    for number, (name, method) in enumerate(methods.items()):
        (yes, yes_error), (right, error) = method.over_all("says_yes"), method.over_all("right")
        axis.errorbar(100 * yes, 100 * right, 100 * error, 100 * yes_error, marker=MARKERS[number % len(MARKERS)],
                      color=COLORS[number % len(COLORS)], linestyle="", label=short_name(name))  # fmt: skip
    low = min(axis.get_ylim()[0], axis.get_xlim()[0])
    axis.plot([low, 100], [low, 100], color="#cbd5e1", linewidth=1)
    axis.set(xlabel="the reward's network says yes, %", ylabel="right by the exact judge, %")
    axis.grid(color="#e2e8f0")
    figure.legend(loc="outside lower center", ncols=3, fontsize=8)
    return figure


def study_geneval(folders: Sequence[Path], out: Path) -> str:
    """Write and return a table for each budget, with the base model in each; the figure is that of the last one.

    Runs that failed are listed below, such as those of methods whose smallest run costs more than the budget.

    Raises:
        ValueError: if there are no finished runs with a budget.
    """
    runs = finished_runs(folders)
    budgets = grouped(runs, lambda run: read_settings(run.folder, run.settings).value("budget.nfe"))
    bases = [run for run in runs if is_base(run)]
    given = sorted((name for name in budgets if name not in ("null", "")), key=float)
    if not given:
        raise ValueError(f"no finished runs with a budget below {', '.join(map(str, folders))}")
    texts, methods = [], {}
    for budget in given:
        members = [*bases, *(run for run in budgets[budget] if not is_base(run))]
        methods = {
            name: verdicts_of(own)
            for name, own in grouped(members, lambda run: method_name(run.settings, APART)).items()
        }
        tables = [geneval_table(methods), look_aheads_table(methods)]
        texts.append("\n\n".join([f"**budget {budget}**", *filter(None, tables)]))
    missing = [line for folder in folders for line in failures(read_sweep(folder))]
    text = "\n\n".join([*texts, *(["Without a row:\n\n- " + "\n- ".join(missing)] if missing else [])])
    write_study(out, text, draw_hacking(methods), dpi=120)
    return text
