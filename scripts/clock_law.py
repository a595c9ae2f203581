"""Whether tilted clocks have the law that they should: ``python scripts/clock_law.py FOLDER [--out FILE]``.

Reads a folder of runs. The law of the time of the training clocks is known, and the reward depends on little else, so
that log Z and the tilted law of the time are an integral over the dial. Rows for each tilt: that integral; the same
from the runs of ``mode=base``, their samples weighted by ``exp(scale r)``, which is the truth for the model as it runs;
and the weighted clocks of the other runs. Times are read by the exact reader. Writes OUT.md, log Z with the shares of
clocks that are more than half an hour from ten past ten and within ten minutes of the wanted time, and OUT.png, the
share of every hour.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from matplotlib.figure import Figure
from safetensors.torch import load_file
from torch import Tensor

from fmtt.data.clock_templates import TemplateReader
from fmtt.data.clocks import HALF_DAY, TEN_PAST_TEN, Times
from fmtt.models.clock_reader import hands, shortfall
from fmtt.report.comparison.run_summary import RunSummary
from fmtt.report.comparison.settings import method_name, read_settings
from fmtt.report.comparison.sweep import read_sweep
from fmtt.report.frontier import COLORS, MARKERS
from fmtt.rewards import Clock
from fmtt.rewards.clock import minutes
from fmtt.run_folder import SAMPLES
from fmtt.smc.diagnostics import log_mean_and_error, pooled_mean, weighted_mean

APART = ("reward.time", "reward.scale", "population.particles")
FAR, NEAR = 30.0, 10.0  # minutes from ten past ten, and from the wanted time
HOURS = 12
Estimate = tuple[float, float]


@dataclass(frozen=True)
class Tilt:
    """What a reward asks for."""

    time: str
    scale: float

    @property
    def wanted(self) -> float:
        """In minutes."""
        return minutes("reward.time", self.time)


@dataclass(frozen=True)
class Law:
    """A law of the time: the log of its Z, with its error, and shares of clocks with theirs, ``(2 + HOURS,)`` each.

    The shares are those that are far from ten past ten, near the wanted time, and in every hour from twelve on.
    """

    log_z: Estimate
    share: Tensor
    error: Tensor


def distance(times: Tensor, time: float) -> Tensor:
    """Minutes between times on the dial and one of them."""
    return ((times - time + HALF_DAY / 2) % HALF_DAY - HALF_DAY / 2).abs()


def kinds_of(times: Tensor, wanted: float) -> Tensor:
    """Whether each of ``times (*B)`` belongs to each share of :class:`Law`, ``(*B, 2 + HOURS)``."""
    hour = times.div(HALF_DAY / HOURS, rounding_mode="floor")[..., None] == torch.arange(HOURS)
    ends = torch.stack([distance(times, TEN_PAST_TEN) > FAR, distance(times, wanted) <= NEAR], dim=-1)
    return torch.cat([ends, hour], dim=-1).double()


def by_integral(law: Times, tilt: Tilt) -> Law:
    """For clocks that are read without an error."""
    dial = torch.arange(0, HALF_DAY, 0.1, dtype=torch.float64)
    value = -tilt.scale * shortfall(hands(dial), hands(torch.tensor([tilt.wanted], dtype=torch.float64)))
    mass = law.density(dial) * 0.1 * value.exp()
    share = mass @ kinds_of(dial, tilt.wanted) / mass.sum()
    return Law((mass.sum().log().item(), math.nan), share, torch.full_like(share, math.nan))


def by_weights(samples: Tensor, log_weights: Tensor, log_z: Tensor, wanted: float) -> Law:
    """From the weighted ``samples (G, N, *D)`` of groups and their ``log_z (G,)``."""
    read = TemplateReader(samples.shape[-1])(samples.flatten(0, 1))
    kinds = kinds_of(read.times, wanted).unflatten(0, log_weights.shape)
    return Law(log_mean_and_error(log_z), *pooled_mean(weighted_mean(kinds, log_weights), log_z))


def by_reward(samples: Tensor, tilt: Tilt) -> Law:
    """From ``samples (G, N, *D)`` of the untilted law, which the reward weighs."""
    reward = Clock(tilt.time)
    value = tilt.scale * torch.stack([reward(part) for part in samples]).double()
    return by_weights(samples, value, value.logsumexp(1) - math.log(value.shape[1]), tilt.wanted)


def arrays(folder: Path, runs: Sequence[RunSummary], name: str) -> Tensor:
    """An array of runs, their groups one after the other."""
    return torch.cat([load_file(folder / run.name / SAMPLES)[name] for run in runs])


def tilted(folder: Path, runs: Sequence[RunSummary], tilt: Tilt) -> Law:
    log_z = torch.tensor([value for run in runs for value in run.metrics["log_z"]], dtype=torch.float64)
    return by_weights(arrays(folder, runs, "samples"), arrays(folder, runs, "log_weights"), log_z, tilt.wanted)


def tilt_of(folder: Path, run: RunSummary) -> Tilt | None:
    """None for the model's own clocks, which know of none."""
    if run.settings.get("mode") == "base":
        return None
    known = read_settings(folder / run.name, run.settings)
    return Tilt(known.value("reward.time").replace("\\", ""), float(known.value("reward.scale")))


def laws(folder: Path, kinds: Mapping[str, Sequence[RunSummary]], tilt: Tilt) -> dict[str, Law]:
    """All that is known of the law of a tilt, the truths first."""
    found = {"the law of the training clocks": by_integral(Times(), tilt)}
    for name, runs in kinds.items():
        if tilt_of(folder, runs[0]) is None:
            found[f"{name}, weighted"] = by_reward(arrays(folder, runs, "samples"), tilt)
    for name, runs in kinds.items():
        if chosen := [run for run in runs if tilt_of(folder, run) == tilt]:
            found[f"{name}, {len(chosen)} runs"] = tilted(folder, chosen, tilt)
    return found


def cell(estimate: Estimate, per_cent: bool = False) -> str:
    value, error = (100 * part if per_cent else part for part in estimate)
    digits = 1 if per_cent else 3
    return f"{value:.{digits}f}" + ("" if math.isnan(error) else f" ± {error:.{digits}f}")


def table(found: Mapping[Tilt, Mapping[str, Law]]) -> str:
    head = ["time", "scale", "", "log Z", "more than half an hour from 10:10, %", "within ten minutes of the time, %"]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for tilt, rows in found.items():
        for name, law in rows.items():
            shares = [cell((law.share[k].item(), law.error[k].item()), per_cent=True) for k in (0, 1)]
            lines.append(f"| {' | '.join([tilt.time, f'{tilt.scale:g}', name, cell(law.log_z), *shares])} |")
    return "\n".join(lines)


def draw(path: Path, found: Mapping[Tilt, Mapping[str, Law]]) -> None:
    """The share of every hour by each law, points beside each other with their errors."""
    figure = Figure(figsize=(11, 3.6 * len(found) + 0.6), layout="constrained")
    for axis, (tilt, rows) in zip(figure.subplots(len(found), squeeze=False).flat, found.items(), strict=True):
        width = 0.8 / len(rows)
        for number, (name, law) in enumerate(rows.items()):
            place = torch.arange(HOURS) + 0.1 + width * (number + 0.5)
            axis.errorbar(place, 100 * law.share[2:], 100 * law.error[2:], color=COLORS[number % len(COLORS)],
                          marker=MARKERS[number % len(MARKERS)], markersize=5, linestyle="", label=name)  # fmt: skip
        axis.set(xlim=(0, HOURS), ylim=(0, None), title=f"tilted toward {tilt.time} at scale {tilt.scale:g}",
                 xlabel="hour that the clock shows", ylabel="share, %")  # fmt: skip
        axis.set_xticks(range(HOURS + 1), [str((hour - 1) % HOURS + 1) for hour in range(HOURS + 1)])
        axis.grid(axis="x", color="#cbd5e1")
        axis.set_axisbelow(True)
    figure.legend(*axis.get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize=8)
    figure.savefig(path, dpi=120)


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, default=Path("outputs/clock_law"))
    options = parser.parse_args()
    kinds: dict[str, list[RunSummary]] = {}
    for entry in read_sweep(options.folder):
        if entry.status == "done":
            kinds.setdefault(method_name(entry.settings, APART), []).append(entry)
    tilts = dict.fromkeys(tilt_of(options.folder, run) for runs in kinds.values() for run in runs)
    found = {tilt: laws(options.folder, kinds, tilt) for tilt in tilts if tilt is not None}
    if not found:
        sys.exit(f"no finished runs of a tilt below {options.folder}")
    text = table(found)
    print(text)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.with_suffix(".md").write_text(text + "\n")
    draw(options.out.with_suffix(".png"), found)


if __name__ == "__main__":
    main()
