"""The short table that a run prints at its end."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from typing import cast

from rich.console import Console
from rich.table import Table

from fmtt.evaluation.reliability import reasons_for_doubt
from fmtt.run_folder import Metrics


def print_prompts(texts: Sequence[str], parts: Sequence[Metrics]) -> None:
    """One row for each prompt, with its mean reward and, for methods with weights, its log Z, over its own groups."""
    weighted = "log_z/genealogical_stderr" in parts[0]
    table = Table("prompt", "reward, tilted", *(["log Z"] if weighted else []))
    for text, part in zip(texts, parts, strict=True):
        names = [("reward/weighted_mean", "reward/weighted_mean/stderr"), ("log_z/mean", "log_z/stderr")]
        cells = [f"{part[name]:.4g} ± {part[error]:.2g}" for name, error in names[: 1 + weighted]]
        table.add_row(text, *cells)
    Console(width=100 if not sys.stdout.isatty() else None).print(table)


def print_table(metrics: Metrics) -> None:
    """The short table of the results, on stdout; errors over groups, or of the genealogy of a single one."""

    def number(name: str, *errors: str) -> str:
        known = [metrics[error] for error in errors if not math.isnan(cast(float, metrics.get(error, math.nan)))]
        value = f"{cast(float, metrics[name]) + 0.0:.4g}"  # no minus before a zero
        return f"{value} ± {known[0]:.2g}" if known else value

    def estimate(name: str, prefix: str) -> str:
        return number(name, f"{prefix}/stderr", f"{prefix}/genealogical_stderr")

    rows = []
    if "reward/base_mean" in metrics:
        rows.append(("reward, base model", number("reward/base_mean", "reward/base_mean/stderr")))
    rows += [
        ("reward, tilted (weighted mean)", estimate("reward/weighted_mean", "reward/weighted_mean")),
        ("reward, best particle", number("reward/max")),
        ("reward, returned for the groups", number("reward/selected_mean", "reward/selected_mean/stderr")),
    ]
    of_the_reward = [name for name in metrics if f"{name}/unweighted" in metrics]
    rows += [(name.replace("_", " "), number(name, f"{name}/stderr")) for name in of_the_reward]
    weighted = "log_z/genealogical_stderr" in metrics
    if weighted:
        rows.append(("log Z", estimate("log_z/mean", "log_z")))
    if "exact/log_z" in metrics:
        rows.append(("log Z, exact", number("exact/log_z")))
        rows.append(("reward, exact tilted mean", number("exact/reward")))
    for distance, label in (("mmd", "MMD"), ("sliced_w2", "sliced W2")):
        if distance in metrics:
            text = f"{metrics[distance]:.3f}, {metrics[f'{distance}/floor']:.3f}"
            rows.append((f"{label} to exact draws, and between such draws", text))
    if "recognised/tilted" in metrics:
        rows.append(("recognised by the evaluator, tilted", f"{metrics['recognised/tilted']:.0%}"))
    for kind in ("base", "tilted"):
        shares = cast(list[float], metrics.get(f"classes/{kind}", []))
        if shares:
            rows.append((f"class shares in %, {kind}", " ".join(f"{100 * share:.0f}" for share in shares)))
    if weighted:
        rows.append(("ESS / N, final and lowest", f"{metrics['ess/final']:.2f}, {metrics['ess/min']:.2f}"))
    rows += [
        ("network evaluations, forward + backward", f"{metrics['nfe/forward']} + {metrics['nfe/backward']}"),
        ("seconds, total and in the network", f"{metrics['time/total_s']:.1f}, {metrics['time/model_s']:.1f}"),
    ]
    table = Table(show_header=False)
    for label, value in rows:
        table.add_row(label, value)
    for doubt in reasons_for_doubt(metrics):
        table.add_row("[bold red]not to be trusted[/]", doubt)
    Console(width=100 if not sys.stdout.isatty() else None).print(table)
