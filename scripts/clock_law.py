"""Whether tilted clocks have the law that they should: ``python scripts/clock_law.py FOLDER [--out FILE]``.

Reads a folder of runs, and writes OUT.md. The law of the time of the training clocks is known, and the reward depends
on little else, so that log Z and the tilted law of the time are an integral over the dial. Rows for each tilt: that
integral; the same from the runs of ``mode=base``, their samples weighted by ``exp(scale r)``, which is the truth for
the model as it runs; and the weighted clocks of the other runs. Shares are those of clocks that are more than half an
hour from ten past ten, by the exact reader.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from fmtt.data.clock_templates import TemplateReader
from fmtt.data.clocks import HALF_DAY, TEN_PAST_TEN, Times
from fmtt.diagnostics import log_mean_and_error, mean_and_error, weighted_mean
from fmtt.models.clock_reader import hands, shortfall
from fmtt.report.settings import method_name
from fmtt.report.sweep import Entry, read_sweep
from fmtt.rewards import Clock
from fmtt.rewards.clock import minutes

APART = ("reward.time", "reward.scale", "population.particles")
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


def estimates(log_weights: Tensor, samples: Tensor, log_z: Tensor) -> Estimates:
    """From the weighted ``samples (G, N, *D)`` of groups and their ``log_z (G,)``."""
    read = TemplateReader(samples.shape[-1])(samples.flatten(0, 1))
    away = far(read.times).double().reshape(log_weights.shape)
    return log_mean_and_error(log_z), mean_and_error(weighted_mean(away, log_weights))


def arrays(folder: Path, runs: Sequence[Entry], *names: str) -> list[Tensor]:
    """Arrays of runs, their groups one after the other."""
    parts = [load_file(folder / run.name / "samples.safetensors") for run in runs]
    return [torch.cat([part[name] for part in parts]) for name in names]


def by_runs(folder: Path, runs: Sequence[Entry]) -> Estimates:
    weights, samples = arrays(folder, runs, "log_weights", "samples")
    log_z = torch.tensor([value for run in runs for value in run.metrics["log_z"]], dtype=torch.float64)
    return estimates(weights, samples, log_z)


def by_weighting(folder: Path, runs: Sequence[Entry], reward: Clock, scale: float) -> Estimates:
    """From the model's own clocks."""
    (samples,) = arrays(folder, runs, "samples")
    return weighted(samples, reward, scale)


def weighted(samples: Tensor, reward: Clock, scale: float) -> Estimates:
    """From ``samples (G, N, *D)`` of the untilted law."""
    value = scale * torch.stack([reward(part) for part in samples]).double()
    log_z = value.logsumexp(1) - math.log(value.shape[1])
    return estimates(value, samples, log_z)


def tilt_of(settings: Mapping[str, str]) -> tuple[str, float] | None:
    """Time and scale of a run's reward; None for the model's own clocks, which know of none."""
    if settings.get("mode") == "base":
        return None
    return settings["reward.time"].replace("\\", ""), float(settings["reward.scale"])


def cell(estimate: tuple[float, float], per_cent: bool = False) -> str:
    value, error = (100 * part if per_cent else part for part in estimate)
    digits = 1 if per_cent else 3
    return f"{value:.{digits}f}" + ("" if math.isnan(error) else f" ± {error:.{digits}f}")


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, default=Path("outputs/clock_law"))
    options = parser.parse_args()
    kinds: dict[str, list[Entry]] = {}
    for entry in read_sweep(options.folder):
        if entry.status == "done":
            kinds.setdefault(method_name(entry.settings, APART), []).append(entry)
    tilts = dict.fromkeys(tilt_of(entry.settings) for runs in kinds.values() for entry in runs)
    lines = ["| time | scale | | log Z | more than half an hour from 10:10, % |", "|---" * 5 + "|"]
    for time, scale in (tilt for tilt in tilts if tilt is not None):
        rows = {"the law of the training clocks": by_integral(Times(), minutes("reward.time", time), scale)}
        for name, runs in kinds.items():
            if tilt_of(runs[0].settings) is None:
                rows[f"{name}, weighted"] = by_weighting(options.folder, runs, Clock(time), scale)
        for name, runs in kinds.items():
            if chosen := [run for run in runs if tilt_of(run.settings) == (time, scale)]:
                rows[f"{name}, {len(chosen)} runs"] = by_runs(options.folder, chosen)
        for name, (log_z, share) in rows.items():
            lines.append(f"| {time} | {scale:g} | {name} | {cell(log_z)} | {cell(share, per_cent=True)} |")
    print("\n".join(lines))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.with_suffix(".md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
