"""What a run is worth in numbers: the rows of its history and its final metrics, flat names to plain numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from fmtt.api import Result
from fmtt.evaluation.distances import mmd, sliced_w2
from fmtt.evaluation.quadrature import tilted_by_quadrature
from fmtt.evaluation.rejection import tilted_by_rejection
from fmtt.flow.protocols import Evaluator
from fmtt.methods.loop import State
from fmtt.methods.presets import Method
from fmtt.models.analytic import MixtureLaw
from fmtt.run.budget import Budget
from fmtt.run.build import Experiment
from fmtt.run_folder import Metrics
from fmtt.smc.diagnostics import (
    evidence_variance,
    log_mean_and_error,
    mean_and_error,
    mean_variance,
    unique_ancestors,
)
from fmtt.smc.population import Population

EXACT = 2_511_226  # where the seeds begin of the independent draws that samples are compared with


def history_row(state: State, forward: int) -> dict[str, float]:
    """One row of ``history.csv``: means over groups after a step; ``reward`` is that of the look-ahead."""
    reward = state.population.tilt.reward
    row = {
        "step": state.step,
        "t": state.t,
        "reward/mean": reward.mean().item(),
        "reward/max": reward.max().item(),
        "ess": state.ess.mean().item(),
        "log_z": log_mean_and_error(state.population.log_evidence)[0],
        "discrepancy": state.discrepancy.mean().item(),
        "discrepancy/step": state.step_discrepancy.mean().item(),
        "thermodynamic_length": state.length.mean().item(),
        "resampled": int(state.selected.sum()),
        "nfe/forward": forward,
    }
    survivors = unique_ancestors(state.population.ancestors).double().mean().item()
    return row | errors_of_the_step(state) | remembered(state) | {"ancestors/unique": survivors}


def remembered(state: State) -> dict[str, float]:
    """What a method knows beside the common state in one number for each group, as its mean over groups."""
    common = {entry.name for entry in fields(State)}
    own = {entry.name: getattr(state, entry.name) for entry in fields(state) if entry.name not in common}
    found = {name: value.mean().item() for name, value in own.items() if value.ndim == 1}
    return found if state.temper.isnan().all() else found | {"temper": state.temper.mean().item()}


def pooled_error(variances: Tensor) -> float:
    """Standard error of the mean of independent groups whose variances are ``(G,)``."""
    return (variances.mean() / len(variances)).sqrt().item()


def errors_of_the_step(state: State) -> dict[str, float]:
    """``transport_gap`` so far, and ``overshoot``, the mean over steps, where the weights measure them."""
    found = {
        "transport_gap": state.transport_gap.mean().item(),
        "overshoot": state.overshoot.mean().item() / max(state.step, 1),
    }
    return {name: value for name, value in found.items() if not math.isnan(value)}


@dataclass(frozen=True)
class Timing:
    """Seconds of the whole run, of the method alone and of the model in it, and the largest memory in MiB."""

    total: float
    method: float
    model: float
    peak_memory: float


def final_metrics(
    state: State, result: Result, base: Population | None, timing: Timing, mode: Method, budget: Budget
) -> Metrics:
    """The content of ``metrics.json`` (all but the class shares and exact values).

    A weighted mode has its standard errors from the genealogy too: without error bars over groups, and with
    copies among the particles, these are what one population knows about itself.
    """
    weighted, weighted_error = mean_and_error(result.mean(result.rewards))
    returned, returned_error = mean_and_error(result.rewards.gather(1, result.selected[:, None])[:, 0])
    log_z, log_z_error = result.log_z_and_error
    meter, ancestors = result.meter, state.population.ancestors
    metrics: Metrics = {
        "reward/mean": result.rewards.mean().item(),
        "reward/weighted_mean": weighted,
        "reward/weighted_mean/stderr": weighted_error,
        "reward/max": result.rewards.max().item(),
        "reward/selected_mean": returned,
        "reward/selected_mean/stderr": returned_error,
        "ess/final": result.ess.mean().item(),
        "ess/min": state.lowest_ess.min().item(),
        "log_z": result.log_z.tolist(),
        "log_z/mean": log_z,
        "log_z/stderr": log_z_error,
        "discrepancy": state.discrepancy.mean().item(),
        "thermodynamic_length": state.length.mean().item(),
        "resamples": state.selections.double().mean().item(),
        "ancestors/unique": unique_ancestors(ancestors).double().mean().item(),
        "population/particles": ancestors.shape[1],
        "population/groups": ancestors.shape[0],
        "steps": state.step,
        "nfe/forward": meter.forward,
        "nfe/backward": meter.backward,
        "nfe/reward": meter.reward,
        "nfe/weighted": budget.cost(meter),
        "nfe/weighted/group": budget.cost(meter) / ancestors.shape[0],
        "time/total_s": timing.total,
        "time/method_s": timing.method,
        "time/model_s": timing.model,
        "memory/peak_mb": timing.peak_memory,
    }
    if mode.weighted:
        multinomials = state.selections * (mode.spreads_families)
        genealogy = (result.log_weights, ancestors, multinomials)
        metrics |= {
            "log_z/genealogical_stderr": pooled_error(evidence_variance(*genealogy)),
            "reward/weighted_mean/genealogical_stderr": pooled_error(mean_variance(result.rewards, *genealogy)),
        }
    metrics |= errors_of_the_step(state)
    if base is not None:
        mean, error = mean_and_error(base.tilt.reward.mean(1))
        metrics |= {"reward/base_mean": mean, "reward/base_mean/stderr": error}
    return metrics


@torch.no_grad()
def class_shares(evaluator: Evaluator, samples: Tensor, log_weights: Tensor) -> tuple[list[float], float]:
    """Weighted share of each class among ``samples (G, N, *D)``, and of those that are clearly one."""
    label, sure = evaluator(samples.flatten(0, 1))
    weights = torch.softmax(log_weights, dim=1).flatten() / log_weights.shape[0]
    shares = torch.zeros(evaluator.classes, dtype=torch.float64, device=weights.device)
    return shares.scatter_add(0, label, weights).tolist(), (weights * sure).sum().item()


def class_metrics(experiment: Experiment, result: Result, base: Population | None) -> Metrics:
    """``classes/...`` and ``recognised/...`` where the model names an evaluator."""
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
    """``exact/...``: log Z, mean and mean reward of the tilted law, in closed form or, on the plane, by quadrature."""
    law: MixtureLaw | None = getattr(experiment.model, "law", None)
    if law is None:
        return {}
    form, scale = getattr(experiment.reward, "quadratic_form", None), experiment.reward.scale
    if form is not None:
        precision, slope, constant = form(law.means.shape[1])
        tilted, log_z = law.tilted(scale * precision, scale * slope, scale * constant)
        mean, reward = tilted.mean, slope @ tilted.mean + constant - precision @ tilted.second_moment / 2
        shares = {}
    elif law.means.shape[1] <= 2:
        on_grid = tilted_by_quadrature(law, experiment.reward, scale)
        log_z, mean, reward = on_grid.log_z, on_grid.mean, on_grid.reward
        shares = {name: on_grid.weights @ values for name, values in statistics(experiment, on_grid.points).items()}
    else:
        return {}
    known: Metrics = {"exact/log_z": log_z.item(), "exact/reward": reward.item(), "exact/mean": mean.tolist()}
    return known | {f"exact/{name}": share.item() for name, share in shares.items()}


def statistics(experiment: Experiment, x: Tensor) -> dict[str, Tensor]:
    """What the reward wants to be shown beside itself, ``(B,)`` for points ``(B, *D)``."""
    measure = getattr(experiment.reward, "statistics", None)
    return {} if measure is None else measure(x)


def statistic_metrics(experiment: Experiment, result: Result) -> Metrics:
    """Weighted means of :func:`statistics`, their standard errors, and the plain means ``<name>/unweighted``."""
    shape, metrics = result.rewards.shape, Metrics()
    for name, values in statistics(experiment, result.samples.flatten(0, 1)).items():
        mean, error = mean_and_error(result.mean(values.reshape(shape)))
        metrics |= {name: mean, f"{name}/stderr": error, f"{name}/unweighted": values.mean().item()}
    return metrics


def distance_metrics(experiment: Experiment, result: Result) -> Metrics:
    """Distances of the weighted samples to independent draws of the tilted law, where those can be had.

    ``mmd``, ``sliced_w2``, and for each ``.../floor``, the distance of as many other independent draws.
    """
    law: MixtureLaw | None = getattr(experiment.model, "law", None)
    reward, upper = experiment.reward, getattr(experiment.reward, "upper", None)
    if law is None or upper is None or law.means.shape[1] != 2 or reward.scale < 0:
        return {}
    first = EXACT + 2 * experiment.run.loop.noise.seed
    weights = torch.softmax(result.log_weights, dim=1).flatten().cpu() / len(result.log_weights)
    samples, equal = result.samples.flatten(0, 1).cpu(), torch.full_like(weights, 1 / len(weights))
    target, other = (
        tilted_by_rejection(law, reward, reward.scale, upper, len(samples), seed) for seed in (first, first + 1)
    )
    return {
        "mmd": mmd(samples, target, weights),
        "mmd/floor": mmd(other, target, equal),
        "sliced_w2": sliced_w2(samples, target, weights),
        "sliced_w2/floor": sliced_w2(other, target, equal),
    }
