"""What is said of samples beside the reward that is optimised: by the reward itself, and by one that is held out.

A reward may have statistics, such as whether an exact judge finds a picture right. A held-out reward shows whether the
samples are better, or only please the reward that they were made for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from fmtt.api import Run
from fmtt.evaluation.feature_distances import distances
from fmtt.flow.batches import joined
from fmtt.flow.conditions import encoded, moved
from fmtt.flow.meter import Meter, MeteredReward
from fmtt.flow.protocols import Evaluator, as_reward
from fmtt.methods.result import Result
from fmtt.run.exact_metrics import reward_of, statistics, told
from fmtt.run.outcome import Outcome, held
from fmtt.run.prompts import Prompts
from fmtt.run_folder import Metrics
from fmtt.smc.diagnostics import mean_and_error

HELD_OUT = "held_out"  # begins the names of what a held-out reward says

Said = Mapping[str, Tensor]  # of the particles of the groups of one prompt, (R, N) each


class Verdicts(NamedTuple):
    """What is said of the samples of one prompt, and of those of the base model, if there are any."""

    tilted: Said
    base: Said


def held_out_reward(reward: Callable[..., Tensor], run: Run, prompts: Prompts | None) -> MeteredReward:
    """A reward that is reported and not optimised, with its own ledger; it is tried on one sample.

    Raises:
        ValueError: if it needs a prompt and there is none, or does not fit the samples.
    """
    record, device = as_reward(reward), run.meter.device
    if prompts is None and record.needs_condition:
        raise ValueError(f"{HELD_OUT}: this reward needs a prompt")
    asked = prompts is not None and record.conditional
    texts = moved(encoded(list(prompts.texts), record.encode_prompts), device) if asked and prompts else None
    made = MeteredReward(record, Meter(device), run.problem.model.flow.decode, texts)
    tried = made if texts is None else made.told(torch.zeros(1, dtype=torch.long, device=device))
    with torch.no_grad():
        tried(torch.zeros(1, *run.problem.model.shape, device=device, dtype=run.problem.noise.dtype))
    return replace(made, decode=None)


def verdicts_by_prompt(run: Run, outcome: Outcome, held_out: MeteredReward | None) -> list[Verdicts]:
    """What the reward and ``held_out`` say of all particles, for each prompt."""
    prompt = outcome.result.prompt
    found: list[Verdicts] = []
    for number in held(prompt):
        groups = outcome.groups(prompt == number)
        base = {} if groups.base is None else said(run, held_out, groups.base, number)
        found.append(Verdicts(said(run, held_out, groups.result, number), base))
    return found


@torch.no_grad()
def said(run: Run, held_out: MeteredReward | None, result: Result, number: int) -> Said:
    """What is said of the samples of one prompt, in batches of the size that the run has."""
    judged = reward_of(run)

    def of(x: Tensor, prompt: Tensor | None) -> Said:
        named = statistics(judged.reward, x, judged.conditions, number)
        if held_out is not None:
            named[HELD_OUT] = told(held_out.reward.call, held_out.conditions, number)(x)
            own = statistics(held_out.reward, x, held_out.conditions, number)
            named |= {f"{HELD_OUT}/{name}": values for name, values in own.items()}
        return named

    parts = replace(run.problem.tilt.batches, prompt=None).each(of, result.decoded)
    return {name: joined([part[name] for part in parts]).reshape(result.rewards.shape) for name in parts[0]}


def verdict_metrics(outcome: Outcome, verdicts: Verdicts) -> Metrics:
    """Of each verdict the weighted mean, the plain mean and the mean of the returned samples, with standard errors.

    The mean over the samples of the base model stands beside them.
    """
    result, metrics = outcome.result, Metrics()
    for name, values in verdicts.tilted.items():
        value, error = mean_and_error(result.mean(values))
        returned, returned_error = mean_and_error(values.gather(1, result.selected[:, None])[:, 0])
        metrics |= {
            name: value,
            f"{name}/stderr": error,
            f"{name}/unweighted": values.mean().item(),
            f"{name}/selected": returned,
            f"{name}/selected/stderr": returned_error,
        }
    for name, values in verdicts.base.items():
        value, error = mean_and_error(values.mean(1))
        metrics |= {f"{name}/base_mean": value, f"{name}/base_mean/stderr": error}
    return metrics


def returned_rows(outcome: Outcome, said: Sequence[Verdicts], evaluator: Evaluator | None = None) -> list[Metrics]:
    """A row for the sample that is returned for each group: its number, its prompt, its reward, its verdicts."""
    prompt = outcome.result.prompt
    rows: dict[int, Metrics] = {}
    for number, verdicts in zip(held(prompt), said, strict=True):
        groups = (prompt == number).nonzero()[:, 0]
        result = outcome.result.groups(prompt == number)
        values = {"reward": result.rewards, **verdicts.tilted}
        chosen = {name: own.gather(1, result.selected[:, None])[:, 0].tolist() for name, own in values.items()}
        if evaluator is not None:
            own = result.decoded[torch.arange(len(groups)), result.selected]
            chosen |= {name: graded.tolist() for name, graded in grades(evaluator, own).items()}
        for place, group in enumerate(groups.tolist()):
            rows[group] = {"group": group, "prompt": number} | {name: own[place] for name, own in chosen.items()}
    return [rows[group] for group in sorted(rows)]


@torch.no_grad()
def grades(evaluator: Evaluator, x: Tensor) -> dict[str, Tensor]:
    """What the evaluator of the model says of the returned samples ``x (B, *D)`` of one prompt; ``(B,)`` each.

    ``recognised``, and ``apart``, the mean distance of the features of a sample to those of the others.
    """
    features = evaluator.features(x)
    apart = distances(features, features).sum(1) / (len(x) - 1) if len(x) > 1 else torch.full((1,), torch.nan)
    return {"recognised": evaluator(x).sure.double(), "apart": apart}
