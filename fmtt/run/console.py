"""The short table that a run prints at its end."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from typing import cast

from rich.console import Console
from rich.table import Table

from fmtt.evaluation.reliability import reasons_for_doubt
from fmtt.report.common.estimates import error_name
from fmtt.run_folder import Metrics


def print_parts(parts: Mapping[str, Metrics], title: str) -> None:
    """One row for each prompt or category, with its mean reward, its verdicts and, with weights, its log Z."""
    first = next(iter(parts.values()))
    columns = {"reward/weighted_mean": "reward, tilted"}
    columns |= {f"{name}/selected": f"{name}, returned".replace("_", " ") for name in verdicts(first)}
    columns |= {"log_z/mean": "log Z"} if "log_z/genealogical_stderr" in first else {}
    table = Table(title, *columns.values())
    for text, part in parts.items():
        table.add_row(text, *(f"{part[name]:.3g} ± {part[error_name(part, name)]:.2g}" for name in columns))
    Console(width=100 if not sys.stdout.isatty() else None).print(table)


def verdicts(metrics: Metrics) -> list[str]:
    """The names of what the reward says beside its value."""
    return [name for name in metrics if f"{name}/unweighted" in metrics]


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
    for name in verdicts(metrics):
        said = {"": name, ", returned": f"{name}/selected", ", base model": f"{name}/base_mean"}
        known = {label: number(own, f"{own}/stderr") for label, own in said.items() if own in metrics}
        rows.append((f"{name}{''.join(known)}".replace("_", " "), ", ".join(known.values())))
    weighted = "log_z/genealogical_stderr" in metrics
    if weighted:
        rows.append(("log Z", estimate("log_z/mean", "log_z")))
        if "log_z/low" in metrics:
            rows.append(("log Z, 95% interval", f"{number('log_z/low')} to {number('log_z/high')}"))
        rows.append(("divergence from the base law, in nats", number("kl", "kl/stderr")))
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
