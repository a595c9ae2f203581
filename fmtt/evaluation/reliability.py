"""Warnings about the weighted results of a run, from its metrics alone."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

ENOUGH = 10  # with this many independent particles the error of a mean is a third of their standard deviation
FEW = 64  # particles of a method whose moves adapt to them, below which log Z is biased
SPREAD = 0.35  # largest standard error of log Z of one group; above it estimates are skew, and intervals too short
TAIL = 0.2  # largest standard error of log Z by the tails of the weights
STEP = 0.4  # largest change of log Z by the length of the steps, in its standard errors
LEFT = 2  # smallest number of effective particles of a group; below it one particle has most of the weight
WORSE = 4.0  # standard errors
TOO_LONG = 0.1  # largest mean overshoot of the kicks; above it log Z is off by a few tenths, see step.weights.overshoot


def reasons_for_doubt(metrics: Mapping[str, Any]) -> list[str]:
    """Reasons to doubt the results of a run, counted over all groups; empty if there are none."""
    return [*doubts_of_returned(metrics), *doubts_of_weights(metrics)]


def doubts_of_returned(metrics: Mapping[str, Any]) -> list[str]:
    """Of the samples that the groups return, where they are worse than those of the base model.

    With one group there is no error, and no doubt.
    """
    if "reward/base_mean" not in metrics or "reward/scale" not in metrics:
        return []
    gain = metrics["reward/selected_mean"] - metrics["reward/base_mean"]
    error = math.hypot(metrics["reward/selected_mean/stderr"], metrics["reward/base_mean/stderr"])
    if math.copysign(1.0, metrics["reward/scale"]) * gain < -WORSE * error:
        return ["the returned samples are worse than those of the base model: more steps, or a weaker gradient"]
    return []


def doubts_of_weights(metrics: Mapping[str, Any]) -> list[str]:
    """Of the weights, for a method that has some."""
    error = metrics.get("log_z/genealogical_stderr")
    if error is None:
        return []
    groups, particles = len(metrics["log_z"]), metrics["population/particles"]
    effective, ancestors = (groups * share for share in (particles * metrics["ess/final"], metrics["ancestors/unique"]))
    found = []
    if effective < ENOUGH:
        found.append(f"the weights leave {effective:.1f} effective particles of {groups * particles}")
    if ancestors < ENOUGH and not math.isnan(error):
        found.append(f"all particles descend from {ancestors:.0f} of {groups * particles}")
    if math.isnan(error) and particles < FEW:
        found.append(f"moves adapt to only {particles} particles: log Z may be too low")
    lowest = particles * metrics["ess/min"]
    if lowest < LEFT:
        found.append(f"a group came down to {lowest:.1f} effective particles of {particles}: log Z may be too low")
    found += doubts_of_the_interval(metrics)
    gap = metrics.get("log_z/ignored_gap")
    if gap is not None:
        found.append(
            f"short weights trust the learned flow map, whose error changes log Z by about {gap:+.2f};"
            " mode.weights=material is right for it"
        )
    overshoot = metrics.get("overshoot", 0.0)
    if overshoot > TOO_LONG:
        found.append(
            f"steps overshoot by {overshoot:.2f} of the variance: more steps, a smaller epsilon, or"
            " sampler/transport=midpoint with mode.weights=kernel"
        )
    return found


def doubts_of_the_interval(metrics: Mapping[str, Any]) -> list[str]:
    """Of the interval for log Z: where it holds the truth less often than it says (docs/samplers.md has how often)."""
    found = []
    spread, tail, kl = (metrics.get(name, 0.0) for name in ("log_z/spread", "log_z/tail_stderr", "kl"))
    if spread > SPREAD:
        found.append(
            f"log Z of a group has an error of {spread:.2f}: its mean may be too low, and the interval too short"
        )
    if tail > TAIL:
        size = f"{tail:.1f}" if tail < 10 else "more than 10"
        found.append(
            f"the largest weights may not have been drawn: by the tails of the others log Z has an error of {size}"
        )
    change, error = 2 * metrics.get("overshoot", 0.0) * abs(kl), (metrics["log_z/high"] - metrics["log_z/low"]) / 4
    if change > STEP * error:
        found.append(
            f"the length of the steps may change log Z by {change:.2f}: more steps, or sampler/transport=midpoint with"
            " mode.weights=kernel"
        )
    return found
