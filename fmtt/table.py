"""The short table that a run prints at its end."""

from __future__ import annotations

import sys
from typing import cast

from rich.console import Console
from rich.table import Table

from fmtt.doubts import doubts
from fmtt.results import Metrics


def print_table(metrics: Metrics) -> None:
    """The short table of the results, on stdout."""

    def number(name: str, error: str | None = None) -> str:
        text = f"{metrics[name]:.4g}"
        return text if error is None or metrics[error] != metrics[error] else f"{text} ± {metrics[error]:.2g}"

    rows = []
    if "reward/base_mean" in metrics:
        rows.append(("reward, base model", number("reward/base_mean", "reward/base_mean/stderr")))
    rows += [
        ("reward, tilted (weighted mean)", number("reward/weighted_mean", "reward/weighted_mean/stderr")),
        ("reward, best particle", number("reward/max")),
        ("log Z", number("log_z/mean", "log_z/stderr")),
    ]
    if "exact/log_z" in metrics:
        rows.append(("log Z, exact", number("exact/log_z")))
        rows.append(("reward, exact tilted mean", number("exact/reward")))
    if "recognised/tilted" in metrics:
        rows.append(("recognised as a digit, tilted", f"{metrics['recognised/tilted']:.0%}"))
    for kind in ("base", "tilted"):
        shares = cast(list[float], metrics.get(f"classes/{kind}", []))
        if shares:
            rows.append((f"class shares 0-9 in %, {kind}", " ".join(f"{100 * share:.0f}" for share in shares)))
    rows += [
        ("ESS / N, final and lowest", f"{metrics['ess/final']:.2f}, {metrics['ess/min']:.2f}"),
        ("network evaluations, forward + backward", f"{metrics['nfe/forward']} + {metrics['nfe/backward']}"),
        ("seconds, total and in the network", f"{metrics['time/total_s']:.1f}, {metrics['time/model_s']:.1f}"),
    ]
    table = Table(show_header=False)
    for label, value in rows:
        table.add_row(label, value)
    for doubt in doubts(metrics):
        table.add_row("[bold red]not to be trusted[/]", doubt)
    Console(width=100 if not sys.stdout.isatty() else None).print(table)
