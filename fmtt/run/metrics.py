"""What a run is worth in numbers: the rows of its history and its final metrics, flat names to plain numbers.

Everything is computed for each prompt from its own groups, and then over prompts; prompts are not replicates of each
other. A run without prompts is a run of one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from fmtt.api import Run
from fmtt.flow.protocols import Evaluator
from fmtt.methods.loop import Info, State
from fmtt.methods.result import Result
from fmtt.run.budget import Budget
from fmtt.run.exact_metrics import distance_metrics, exact_metrics
from fmtt.run.outcome import Outcome, Timing, held
from fmtt.run.prompts import Prompts
from fmtt.run.real_metrics import real_metrics
from fmtt.run.verdicts import Verdicts, verdict_metrics
from fmtt.run_folder import Metrics
from fmtt.smc.diagnostics import (
    evidence_variance,
    log_mean,
    log_mean_and_error,
    mean_and_error,
    mean_variance,
    pooled_mean,
    unique_ancestors,
)
from fmtt.smc.intervals import around, log_mean_interval
from fmtt.smc.totals import Totals


def groups_of_prompts(run: Run) -> list[Tensor]:
    """The places of the groups of each prompt that a run holds."""
    return [torch.nonzero(run.prompt == number)[:, 0] for number in held(run.prompt)]


def history_row(run: Run, groups: Sequence[Tensor], state: State, info: Info, totals: Totals) -> dict[str, float]:
    """One row of ``history.csv``: means over groups after a step; ``reward`` is that of the look-ahead.

    ``groups`` are those of :func:`groups_of_prompts`. All numbers leave the device in one transfer.
    """
    population = state.population
    log_z = [log_mean(population.log_evidence[own]) for own in groups]
    progress, measured, own, survivors = numbers(
        {
            "reward/mean": population.tilt.reward.mean(),
            "reward/max": population.tilt.reward.max(),
            "ess": info.ess.mean(),
            "log_z": sum(log_z[1:], log_z[0]) / len(log_z),
            "discrepancy": totals.discrepancy.mean(),
            "discrepancy/step": totals.step_discrepancy.mean(),
            "thermodynamic_length": totals.length.mean(),
            "resampled": info.selected.sum(),
        },
        {
            "transport_gap": totals.transport_gap.mean(),
            "overshoot": totals.overshoot.mean().double() / max(state.step, 1),
            "log_z/ignored_gap": totals.ignored_gap.mean(),
        },
        {name: values.mean() for name, values in info.numbers.items()},
        {"ancestors/unique": unique_ancestors(population.ancestors).double().mean()},
    )
    counts = {"resampled": int(progress["resampled"]), "nfe/forward": run.meter.forward}
    return {"step": state.step, "t": state.t} | progress | counts | known(measured) | own | survivors


def numbers(*parts: Mapping[str, Tensor]) -> list[dict[str, float]]:
    """The numbers of scalar tensors, in one transfer from their device."""
    values = iter(torch.stack([value.double() for part in parts for value in part.values()]).tolist())
    return [dict(zip(part, values, strict=False)) for part in parts]


def known(values: Mapping[str, float]) -> dict[str, float]:
    """Those that are not NaN."""
    return {name: value for name, value in values.items() if not math.isnan(value)}


def mean(values: Sequence[float]) -> float:
    """The mean of some numbers; a single one as it is."""
    return sum(values) / len(values)


def errors_of_the_steps(totals: Totals, steps: int) -> dict[str, float]:
    """``transport_gap`` so far, and ``overshoot``, the mean over steps, where the weights measure them."""
    found = {
        "transport_gap": totals.transport_gap.mean().item(),
        "overshoot": totals.overshoot.mean().item() / max(steps, 1),
        "log_z/ignored_gap": totals.ignored_gap.mean().item() if steps else math.nan,
    }
    return known(found)


def metrics_by_prompt(run: Run, outcome: Outcome, said: Sequence[Verdicts]) -> list[Metrics]:
    """The metrics of each prompt, from its own groups and their verdicts; one entry for a run without prompts."""
    prompt = outcome.result.prompt
    parts = [(number, outcome.groups(prompt == number)) for number in held(prompt)]
    return [
        estimates(run, part)
        | class_metrics(run.problem.model.flow.evaluator, part)
        | exact_metrics(run, number)
        | verdict_metrics(part, verdicts)
        | distance_metrics(run, part.result)
        | real_metrics(run, part.result)
        for (number, part), verdicts in zip(parts, said, strict=True)
    ]


def final_metrics(run: Run, outcome: Outcome, parts: Sequence[Metrics], timing: Timing, budget: Budget) -> Metrics:
    """The content of ``metrics.json``: the metrics over prompts, and the costs of the whole run."""
    groups, particles = outcome.result.log_weights.shape
    cost = budget.cost(run.meter)
    counts: Metrics = {f"nfe/{name}": count for name, count in run.meter.counts.items() if shown(run, name)}
    prompts: Metrics = {} if run.prompts is None else {"population/prompts": run.prompts}
    sizes: Metrics = {"population/particles": particles, "population/groups": groups, "steps": outcome.steps}
    costs: Metrics = {
        "nfe/weighted": cost,
        "nfe/weighted/group": cost / groups,
        "time/total_s": timing.total,
        "time/method_s": timing.method,
        "time/model_s": timing.model,
        "memory/peak_mb": timing.peak_memory,
    }
    return over_prompts(parts) | prompts | sizes | counts | costs


def of_prompts(prompts: Prompts, parts: Sequence[Metrics]) -> Metrics:
    """For loggers: ``prompt/<number>/<name>`` for each prompt, ``category/<category>/<name>`` for each category."""
    known = {f"prompt/{number}": part for number, part in enumerate(parts)}
    known |= {f"category/{category}": part for category, part in by_category(prompts, parts).items()}
    return {
        f"{place}/{name}": value
        for place, part in known.items()
        for name, value in part.items()
        if not isinstance(value, list)
    }


def by_category(prompts: Prompts, parts: Sequence[Metrics]) -> dict[str, Metrics]:
    """The metrics over the prompts of each category; nothing without categories."""
    named = list(zip(prompts.categories, parts, strict=True))
    return {
        category: over_prompts([part for own, part in named if own == category])
        for category in dict.fromkeys(filter(None, prompts.categories))
    }


def shown(run: Run, count: str) -> bool:
    """Whether a count belongs into the metrics; those of a decoder only if there is one."""
    return not count.startswith("decode") or run.problem.model.flow.decode is not None


def over_prompts(parts: Sequence[Metrics]) -> Metrics:
    """Metrics over prompts from those of each: means, errors of means, extremes, and the log Z of all groups."""
    if len(parts) == 1:
        return parts[0]
    common = [name for name in parts[0] if all(name in part for part in parts)]
    return {name: combined(name, [part[name] for part in parts]) for name in common}


def combined(name: str, values: Sequence[float | int | list[float]]) -> float | int | list[float]:
    """One metric over prompts."""
    if name == "log_z":
        return [entry for value in values if isinstance(value, list) for entry in value]
    if isinstance(values[0], list):
        return torch.tensor(values, dtype=torch.float64).mean(0).tolist()
    numbers = [float(value) for value in values if not isinstance(value, list)]
    if name.endswith("stderr"):
        return math.sqrt(sum(number**2 for number in numbers)) / len(numbers)
    if name.endswith("/max"):
        return max(numbers)
    return min(numbers) if name.endswith("/min") else mean(numbers)


def estimates(run: Run, outcome: Outcome) -> Metrics:
    """What the groups of one prompt say about rewards, log Z and the quality of the weights.

    A method with weights has its standard errors from the genealogy too: without error bars over groups, and with
    copies among the particles, these are what one population knows about itself. Where moves make particles forget
    their ancestors, it is far too large; then it is given for a single group alone.
    """
    result, totals, base = outcome.result, outcome.totals, outcome.base
    weighted, weighted_error = mean_and_error(result.mean(result.rewards))
    returned, returned_error = mean_and_error(result.rewards.gather(1, result.selected[:, None])[:, 0])
    log_z, log_z_error = log_mean_and_error(result.log_z)
    metrics: Metrics = {
        "reward/scale": run.problem.tilt.scale,
        "reward/mean": result.rewards.mean().item(),
        "reward/weighted_mean": weighted,
        "reward/weighted_mean/stderr": weighted_error,
        "reward/max": result.rewards.max().item(),
        "reward/selected_mean": returned,
        "reward/selected_mean/stderr": returned_error,
        "ess/final": result.ess.mean().item(),
        "ess/min": totals.lowest_ess.min().item(),
        "log_z": result.log_z.tolist(),
        "log_z/mean": log_z,
        "log_z/stderr": log_z_error,
        "discrepancy": totals.discrepancy.mean().item(),
        "thermodynamic_length": totals.length.mean().item(),
        "resamples": totals.selections.double().mean().item(),
        "ancestors/unique": unique_ancestors(result.ancestors).double().mean().item(),
    }
    if run.method.weighted:
        genealogy = (result.log_weights, result.ancestors, totals.selections * run.method.multinomial)
        known = 1.0 if not run.method.forgets or len(result.log_z) == 1 else math.nan
        evidence = known * evidence_variance(*genealogy)
        metrics |= {
            "log_z/genealogical_stderr": pooled_error(evidence),
            "reward/weighted_mean/genealogical_stderr": known * pooled_error(mean_variance(result.rewards, *genealogy)),
        }
        metrics |= divergence(run.problem.tilt.scale, result) | certainty(result, totals, evidence)
    metrics |= errors_of_the_steps(totals, outcome.steps)
    if base is not None:
        value, error = mean_and_error(base.rewards.mean(1))
        metrics |= {"reward/base_mean": value, "reward/base_mean/stderr": error}
    return metrics


def certainty(result: Result, totals: Totals, variances: Tensor) -> Metrics:
    """An interval for log Z, and what says whether it can be relied on: 95% by Student's law over groups.

    ``log_z/spread`` is the error of log Z of one group, the larger one of the spread of the groups and of what their
    genealogies say, if anything. ``log_z/tail_stderr`` is the error of all groups together if the logarithms of weights
    have normal upper tails, of which few particles see little. One group has the interval of its genealogy.
    """
    groups, particles = result.log_weights.shape
    spread, inner = result.log_z.std().item() if groups > 1 else 0.0, variances.mean().sqrt().item()
    low, high = log_mean_interval(result.log_z) if groups > 1 else around(result.log_z.item(), inner)
    return {
        "log_z/low": low,
        "log_z/high": high,
        "log_z/spread": spread if math.isnan(inner) else max(spread, inner),
        "log_z/tail_stderr": (totals.tail.mean() / (groups * particles)).sqrt().item(),
    }


def divergence(scale: float, result: Result) -> Metrics:
    """``kl``: of the tilted law from that of the base model, ``scale E[r] - log Z``, in nats; what a reward costs.

    Groups count by their estimates of Z in both terms. The error is by the delta method (NaN for one group).
    """
    means, log_z = scale * result.mean(result.rewards), result.log_z
    mean, _ = pooled_mean(means, log_z)
    level = log_mean_and_error(log_z)[0]
    _, error = mean_and_error((log_z - level).exp() * (means - mean - 1))
    return {"kl": mean.item() - level, "kl/stderr": error}


def pooled_error(variances: Tensor) -> float:
    """Standard error of the mean of independent groups whose variances are ``(G,)``."""
    return (variances.mean() / len(variances)).sqrt().item()


@torch.no_grad()
def class_shares(evaluator: Evaluator, samples: Tensor, log_weights: Tensor) -> tuple[list[float], float]:
    """Weighted share of each class among ``samples (G, N, *D)``, and of those that are clearly one."""
    label, sure = evaluator(samples.flatten(0, 1))
    weights = torch.softmax(log_weights, dim=1).flatten() / log_weights.shape[0]
    shares = torch.zeros(evaluator.classes, dtype=torch.float64, device=weights.device)
    return shares.scatter_add(0, label, weights).tolist(), (weights * sure).sum().item()


def class_metrics(evaluator: Evaluator | None, outcome: Outcome) -> Metrics:
    """``classes/...`` and ``recognised/...`` where the model names an evaluator."""
    if evaluator is None:
        return {}
    shares, recognised = class_shares(evaluator, outcome.result.decoded, outcome.result.log_weights)
    metrics: Metrics = {"classes/tilted": shares, "recognised/tilted": recognised}
    if outcome.base is not None:
        shares, recognised = class_shares(evaluator, outcome.base.decoded, outcome.base.log_weights)
        metrics |= {"classes/base": shares, "recognised/base": recognised}
    return metrics
