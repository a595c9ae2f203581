"""What a run is worth in numbers: the rows of its history and its final metrics, flat names to plain numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from fmtt.diagnostics import log_mean_and_error, mean_and_error, unique_ancestors
from fmtt.engine import Result
from fmtt.experiment import Experiment
from fmtt.models.analytic import MixtureLaw
from fmtt.particles import Population
from fmtt.sampler import State

HISTORY = ("step", "t", "reward/mean", "reward/max", "ess", "log_z", "discrepancy", "thermodynamic_length",
           "resampled", "nfe/forward")  # fmt: skip

Metrics = dict[str, float | int | list[float]]


def history_row(state: State, forward: int) -> dict[str, float]:
    """One row of ``history.csv``: means over groups after a step; ``reward`` is that of the look-ahead."""
    reward = state.population.tilt.reward
    return {
        "step": state.step,
        "t": state.t,
        "reward/mean": reward.mean().item(),
        "reward/max": reward.max().item(),
        "ess": state.ess.mean().item(),
        "log_z": log_mean_and_error(state.population.log_evidence)[0],
        "discrepancy": state.discrepancy.mean().item(),
        "thermodynamic_length": state.length.mean().item(),
        "resampled": int(state.selected.sum()),
        "nfe/forward": forward,
    }


@dataclass(frozen=True)
class Timing:
    """Seconds of the whole run and of what the model took of it, and the largest memory in MiB."""

    total: float
    model: float
    peak_memory: float


def final_metrics(state: State, result: Result, base: Population | None, timing: Timing) -> Metrics:
    """The content of ``metrics.json`` (all but the class shares and exact values)."""
    weighted, weighted_error = mean_and_error(result.mean(result.rewards))
    log_z, log_z_error = result.log_z_and_error
    meter = result.meter
    metrics: Metrics = {
        "reward/mean": result.rewards.mean().item(),
        "reward/weighted_mean": weighted,
        "reward/weighted_mean/stderr": weighted_error,
        "reward/max": result.rewards.max().item(),
        "reward/selected_mean": result.rewards.gather(1, result.selected[:, None]).mean().item(),
        "ess/final": result.ess.mean().item(),
        "ess/min": state.lowest_ess.min().item(),
        "log_z": result.log_z.tolist(),
        "log_z/mean": log_z,
        "log_z/stderr": log_z_error,
        "discrepancy": state.discrepancy.mean().item(),
        "thermodynamic_length": state.length.mean().item(),
        "resamples": state.selections.double().mean().item(),
        "ancestors/unique": unique_ancestors(state.population.ancestors).double().mean().item(),
        "nfe/forward": meter.forward,
        "nfe/backward": meter.backward,
        "nfe/reward": meter.reward,
        "time/total_s": timing.total,
        "time/model_s": timing.model,
        "memory/peak_mb": timing.peak_memory,
    }
    if base is not None:
        mean, error = mean_and_error(base.tilt.reward.mean(1))
        metrics |= {"reward/base_mean": mean, "reward/base_mean/stderr": error}
    return metrics


@torch.no_grad()
def class_shares(evaluator: torch.nn.Module, samples: Tensor, log_weights: Tensor) -> tuple[list[float], float]:
    """Weighted share of each class among ``samples (G, N, *D)``, and of those recognised with p > 0.9."""
    probabilities = torch.softmax(evaluator(samples.flatten(0, 1)).double(), dim=1)
    weights = torch.softmax(log_weights, dim=1).flatten() / log_weights.shape[0]
    best, label = probabilities.max(1)
    shares = torch.zeros(probabilities.shape[1], dtype=torch.float64, device=weights.device)
    return shares.scatter_add(0, label, weights).tolist(), (weights * (best > 0.9)).sum().item()


def class_metrics(experiment: Experiment, result: Result, base: Population | None) -> Metrics:
    """``classes/...`` and ``recognised/...`` where the model names an evaluation classifier."""
    evaluator = getattr(experiment.model, "evaluator", None)
    if evaluator is None:
        return {}
    shares, recognised = class_shares(evaluator, result.samples, result.log_weights)
    metrics: Metrics = {"classes/tilted": shares, "recognised/tilted": recognised}
    if base is not None:
        shares, recognised = class_shares(evaluator, base.x, base.log_weights)
        metrics |= {"classes/base": shares, "recognised/base": recognised}
    return metrics


def exact_metrics(experiment: Experiment) -> Metrics:
    """``exact/...``: log Z and mean of the tilted law where they are known in closed form."""
    law: MixtureLaw | None = getattr(experiment.model, "law", None)
    form = getattr(experiment.reward, "quadratic_form", None)
    if law is None or form is None:
        return {}
    precision, slope, constant = form(law.means.shape[1])
    scale = experiment.reward.scale
    tilted, log_z = law.tilted(scale * precision, scale * slope, scale * constant)
    return {"exact/log_z": log_z.item(), "exact/mean": tilted.mean.tolist()}


def json_ready(metrics: Metrics) -> dict[str, object]:
    """NaN, which JSON does not know, becomes null."""

    def plain(value: float | int | list[float]) -> object:
        if isinstance(value, list):
            return [plain(entry) for entry in value]
        return None if isinstance(value, float) and math.isnan(value) else value

    return {name: plain(value) for name, value in metrics.items()}
