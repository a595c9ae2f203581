"""Do tilted clocks have the law that they should have?

The law of the time of the training clocks is known, and the reward depends on little else. So log Z and the tilted law
of the time are an integral over the dial. Three kinds of rows for each tilt: that integral; the samples of the runs of
``mode=base``, weighted by ``exp(scale r)``, which is the truth for the model as it runs; and the weighted clocks of the
other runs. Times are read by the exact reader.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from matplotlib.figure import Figure
from torch import Tensor

from fmtt.data.clock_templates import TemplateReader
from fmtt.data.clocks import HALF_DAY, TEN_PAST_TEN, Times
from fmtt.models.clock_reader import hands, shortfall
from fmtt.report.common.estimates import Estimate
from fmtt.report.comparison.run_summary import RunSummary
from fmtt.report.comparison.settings import read_settings
from fmtt.rewards import Clock
from fmtt.rewards.clock import minutes
from fmtt.smc.diagnostics import log_mean_and_error, pooled_mean, weighted_mean
from fmtt.studies.output import COLORS, MARKERS, markdown_table, write_study
from fmtt.studies.runs import finished_runs, grouped, is_base, log_z_of, method_name, tensors_of

APART = ("reward.time", "reward.scale", "population.particles")
FAR, NEAR = 30.0, 10.0  # minutes from ten past ten, and from the wanted time
HOURS = 12
HEAD = ("time", "scale", "", "log Z", "more than half an hour from 10:10, %", "within ten minutes of the time, %")


@dataclass(frozen=True)
class TimeTilt:
    """A reward for showing a time, and its scale."""

    time: str
    scale: float

    @property
    def wanted(self) -> float:
        """In minutes."""
        return minutes("reward.time", self.time)


@dataclass(frozen=True)
class TimeLaw:
    """A law of the time: the log of its Z, with its error, and shares of clocks with theirs, ``(2 + HOURS,)`` each.

    The shares are those that are far from ten past ten, near the wanted time, and in every hour from twelve on.
    """

    log_z: Estimate
    share: Tensor
    error: Tensor


Laws = Mapping[TimeTilt, Mapping[str, TimeLaw]]


def distance(times: Tensor, time: float) -> Tensor:
    """Minutes between times on the dial and one of them."""
    return ((times - time + HALF_DAY / 2) % HALF_DAY - HALF_DAY / 2).abs()


def belongs_to_shares(times: Tensor, wanted: float) -> Tensor:
    """Whether each of ``times (*B)`` belongs to each share of :class:`TimeLaw`, ``(*B, 2 + HOURS)``."""
    hour = times.div(HALF_DAY / HOURS, rounding_mode="floor")[..., None] == torch.arange(HOURS)
    ends = torch.stack([distance(times, TEN_PAST_TEN) > FAR, distance(times, wanted) <= NEAR], dim=-1)
    return torch.cat([ends, hour], dim=-1).double()


def by_integral(law: Times, tilt: TimeTilt) -> TimeLaw:
    """The law of clocks that are read without an error."""
    dial = torch.arange(0, HALF_DAY, 0.1, dtype=torch.float64)
    value = -tilt.scale * shortfall(hands(dial), hands(torch.tensor([tilt.wanted], dtype=torch.float64)))
    mass = law.density(dial) * 0.1 * value.exp()
    share = mass @ belongs_to_shares(dial, tilt.wanted) / mass.sum()
    return TimeLaw((mass.sum().log().item(), math.nan), share, torch.full_like(share, math.nan))


def by_weights(samples: Tensor, log_weights: Tensor, log_z: Tensor, wanted: float) -> TimeLaw:
    """The law of the weighted ``samples (G, N, *D)`` of groups with ``log_z (G,)``."""
    read = TemplateReader(samples.shape[-1])(samples.flatten(0, 1))
    shares = belongs_to_shares(read.times, wanted).unflatten(0, log_weights.shape)
    return TimeLaw(log_mean_and_error(log_z), *pooled_mean(weighted_mean(shares, log_weights), log_z))


def by_reward(samples: Tensor, tilt: TimeTilt) -> TimeLaw:
    """The law of ``samples (G, N, *D)`` of the untilted model, weighted by the reward."""
    reward = Clock(tilt.time)
    value = tilt.scale * torch.stack([reward(part) for part in samples]).double()
    return by_weights(samples, value, value.logsumexp(1) - math.log(value.shape[1]), tilt.wanted)


def joined(runs: Sequence[RunSummary], name: str) -> Tensor:
    """An array of all runs, their groups one after the other."""
    return torch.cat([tensors_of(run)[name] for run in runs])


def by_runs(runs: Sequence[RunSummary], tilt: TimeTilt) -> TimeLaw:
    """The law of the weighted clocks of tilted runs."""
    return by_weights(joined(runs, "samples"), joined(runs, "log_weights"), log_z_of(runs), tilt.wanted)


def tilt_of(run: RunSummary) -> TimeTilt | None:
    """The tilt of a run; None for the base model, which has none."""
    if is_base(run):
        return None
    known = read_settings(run.folder, run.settings)
    return TimeTilt(known.value("reward.time").replace("\\", ""), float(known.value("reward.scale")))


def laws_of(methods: Mapping[str, Sequence[RunSummary]], tilt: TimeTilt) -> dict[str, TimeLaw]:
    """All estimates of the law of a tilt, the truths first."""
    found = {"the law of the training clocks": by_integral(Times(), tilt)}
    for name, runs in methods.items():
        if tilt_of(runs[0]) is None:
            found[f"{name}, weighted"] = by_reward(joined(runs, "samples"), tilt)
    for name, runs in methods.items():
        if chosen := [run for run in runs if tilt_of(run) == tilt]:
            found[f"{name}, {len(chosen)} runs"] = by_runs(chosen, tilt)
    return found


def _cell(estimate: Estimate, per_cent: bool = False) -> str:
    value, error = (100 * part if per_cent else part for part in estimate)
    digits = 1 if per_cent else 3
    return f"{value:.{digits}f}" + ("" if math.isnan(error) else f" ± {error:.{digits}f}")


def law_table(found: Laws) -> str:
    """A row for each tilt and each estimate of its law."""
    rows = []
    for tilt, laws in found.items():
        for name, law in laws.items():
            shares = [_cell((law.share[k].item(), law.error[k].item()), per_cent=True) for k in (0, 1)]
            rows.append([tilt.time, f"{tilt.scale:g}", name, _cell(law.log_z), *shares])
    return markdown_table(HEAD, rows)


def draw_laws(found: Laws) -> Figure:
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
    return figure


@torch.no_grad()
def study_clock_law(folder: Path, out: Path) -> str:
    """Write and return the table of all laws; the figure shows the share of every hour.

    Raises:
        ValueError: if there are no finished runs of a tilt.
    """
    methods = grouped(finished_runs([folder]), lambda run: method_name(run.settings, APART))
    tilts = dict.fromkeys(tilt_of(run) for runs in methods.values() for run in runs)
    found = {tilt: laws_of(methods, tilt) for tilt in tilts if tilt is not None}
    if not found:
        raise ValueError(f"no finished runs of a tilt below {folder}")
    text = law_table(found)
    write_study(out, text, draw_laws(found), dpi=120)
    return text
