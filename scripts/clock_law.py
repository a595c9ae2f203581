"""Whether tilted clocks have the law that they should: ``python scripts/clock_law.py TILTED BASE [--out FILE]``.

Reads two folders of runs, and writes OUT.md. The law of the time of the training clocks is known, and the reward
depends on little else, so that log Z and the tilted law of the time are an integral over the dial. Rows for each tilt:
that integral; the same from the base samples of the model, weighted by ``exp(scale r)``, which is the truth for the
model as it is; and the weighted clocks of the runs. Shares are those of clocks that are more than half an hour from
ten past ten, by the exact reader.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from fmtt.data.clock_templates import TemplateReader
from fmtt.data.clocks import HALF_DAY, TEN_PAST_TEN, Times
from fmtt.diagnostics import log_mean_and_error, mean_and_error, weighted_mean
from fmtt.models.clock_reader import hands, shortfall
from fmtt.report.sweep import Entry, read_sweep
from fmtt.rewards import Clock
from fmtt.rewards.clock import minutes

FAR = 30.0  # minutes from ten past ten
Estimates = tuple[tuple[float, float], tuple[float, float]]  # log Z and the share, each with its error


def far(times: Tensor) -> Tensor:
    """Whether ``times (B,)`` are more than half an hour from ten past ten."""
    return ((times - TEN_PAST_TEN + HALF_DAY / 2) % HALF_DAY - HALF_DAY / 2).abs() > FAR


def by_integral(law: Times, time: float, scale: float) -> Estimates:
    """For clocks that are read without an error."""
    dial = torch.arange(0, HALF_DAY, 0.1, dtype=torch.float64)
    value = -scale * shortfall(hands(dial), hands(torch.tensor([time], dtype=torch.float64)))
    mass = law.density(dial) * 0.1 * value.exp()
    return (mass.sum().log().item(), math.nan), ((mass * far(dial)).sum().item() / mass.sum().item(), math.nan)


def estimates(log_weights: Tensor, samples: Tensor, log_z: Tensor, reader: TemplateReader) -> Estimates:
    """From the weighted ``samples (G, N, *D)`` of groups and their ``log_z (G,)``."""
    shape = log_weights.shape
    away = far(reader(samples.flatten(0, 1)).times).double().reshape(shape)
    return log_mean_and_error(log_z), mean_and_error(weighted_mean(away, log_weights))


def by_runs(runs: Sequence[tuple[Path, Entry]], reader: TemplateReader) -> Estimates:
    arrays = [load_file(folder / entry.name / "samples.safetensors") for folder, entry in runs]
    weights, samples = (torch.cat([part[name] for part in arrays]) for name in ("log_weights", "samples"))
    log_z = torch.tensor([value for _, entry in runs for value in entry.metrics["log_z"]], dtype=torch.float64)
    return estimates(weights, samples, log_z, reader)


def by_weighting(samples: Tensor, reward: Clock, scale: float, reader: TemplateReader) -> Estimates:
    """From the model's own ``samples (G, N, *D)``."""
    value = scale * torch.stack([reward(part) for part in samples]).double()
    log_z = value.logsumexp(1) - math.log(value.shape[1])
    return estimates(value, samples, log_z, reader)


def cell(estimate: tuple[float, float], per_cent: bool = False) -> str:
    value, error = (100 * part if per_cent else part for part in estimate)
    digits = 1 if per_cent else 3
    return f"{value:.{digits}f}" + ("" if math.isnan(error) else f" ± {error:.{digits}f}")


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tilted", type=Path)
    parser.add_argument("base", type=Path)
    parser.add_argument("--out", type=Path, default=Path("outputs/clock_law"))
    options = parser.parse_args()
    base = torch.cat(
        [load_file(options.base / run.name / "samples.safetensors")["samples"] for run in read_sweep(options.base)]
    )
    kinds: dict[tuple[str, str, str], list[tuple[Path, Entry]]] = {}
    for entry in read_sweep(options.tilted):
        settings = entry.settings
        key = (settings["reward.time"].replace("\\", ""), settings["reward.scale"], settings.get("mode", "importance"))
        kinds.setdefault(key, []).append((options.tilted, entry))
    reader = TemplateReader(base.shape[-1])
    truth = ("the law of the training clocks", "the model's own clocks, weighted")
    lines = ["| time | scale | | log Z | more than half an hour from 10:10, % |", "|---" * 5 + "|"]
    known: dict[tuple[str, str], None] = {}
    for (time, scale, mode), runs in kinds.items():
        rows = {f"{mode}, {len(runs)} runs": by_runs(runs, reader)}
        if (time, scale) not in known:
            known[time, scale] = None
            integral = by_integral(Times(), minutes("reward.time", time), float(scale))
            weighted = by_weighting(base, Clock(time), float(scale), reader)
            rows = {**dict(zip(truth, (integral, weighted), strict=True)), **rows}
        for name, (log_z, share) in rows.items():
            lines.append(f"| {time} | {scale} | {name} | {cell(log_z)} | {cell(share, per_cent=True)} |")
    print("\n".join(lines))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.with_suffix(".md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
