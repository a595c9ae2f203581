"""Exact answers beside the metrics of a run, where they are known: closed forms, quadrature, independent draws."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from fmtt.api import Run
from fmtt.evaluation.distances import mmd, sliced_w2
from fmtt.evaluation.quadrature import tilted_by_quadrature
from fmtt.evaluation.rejection import tilted_by_rejection
from fmtt.flow.conditions import Encoded, rows
from fmtt.flow.meter import MeteredReward
from fmtt.flow.protocols import Reward, takes
from fmtt.methods.result import Result
from fmtt.models.analytic import MixtureLaw
from fmtt.run_folder import Metrics

EXACT = 2_511_226  # where the seeds begin of the independent draws that samples are compared with


def reward_of(run: Run) -> MeteredReward:
    """The reward of a run."""
    reward = run.problem.tilt.reward
    assert isinstance(reward, MeteredReward)
    return reward


def told(call: Callable[..., Tensor], conditions: Encoded | None, number: int) -> Callable[[Tensor], Tensor]:
    """``call`` for points ``(B, *D)`` of one prompt, told its condition if it takes that."""
    if conditions is None or not takes(call, "condition"):
        return call
    return lambda x: call(x, condition=rows(conditions, torch.full((len(x),), number)))


def law_of(run: Run, number: int) -> MixtureLaw | None:
    """The law of the samples of one prompt, where it is known and rewards see the samples themselves."""
    flow, conditions = run.problem.model.flow, run.problem.model.conditions
    if flow.law is None or flow.decode is not None:
        return None
    law: MixtureLaw = flow.law if conditions is None else flow.law(rows(conditions, torch.tensor([number]))[0])  # type: ignore
    return law


def exact_metrics(run: Run, number: int) -> Metrics:
    """``exact/...``: log Z, mean and mean reward of the tilted law, in closed form or, on the plane, by quadrature."""
    law, judged, scale = law_of(run, number), reward_of(run), run.problem.tilt.scale
    if law is None:
        return {}
    form, dimension = judged.reward.quadratic_form, law.means.shape[1]
    if form is not None:
        if judged.conditions is not None and takes(form, "condition"):
            condition = rows(judged.conditions, torch.tensor([number]))[0]  # type: ignore[index]
            form = partial(form, condition=condition)  # type: ignore[call-arg]
        precision, slope, constant = form(dimension)
        tilted, log_z = law.tilted(scale * precision, scale * slope, scale * constant)
        center, reward = tilted.mean, slope @ tilted.mean + constant - precision @ tilted.second_moment / 2
        shares = {}
    elif dimension <= 2:
        on_grid = tilted_by_quadrature(law, told(judged.reward.call, judged.conditions, number), scale)
        log_z, center, reward = on_grid.log_z, on_grid.mean, on_grid.reward
        values = statistics(judged.reward, on_grid.points, judged.conditions, number)
        shares = {name: on_grid.weights @ value for name, value in values.items()}
    else:
        return {}
    known: Metrics = {"exact/log_z": log_z.item(), "exact/reward": reward.item(), "exact/mean": center.tolist()}
    return known | {f"exact/{name}": share.item() for name, share in shares.items()}


def statistics(reward: Reward, x: Tensor, conditions: Encoded | None, number: int) -> dict[str, Tensor]:
    """What the reward wants to be shown beside itself, ``(B,)`` for points ``(B, *D)`` of one prompt."""
    measure = reward.statistics
    return {} if measure is None else dict(told(measure, conditions, number)(x))  # type: ignore[arg-type]


def distance_metrics(run: Run, result: Result) -> Metrics:
    """Distances of the weighted samples to independent draws of the tilted law, where those can be had.

    ``mmd``, ``sliced_w2``, and for each ``.../floor``, the distance of as many other independent draws. Nothing where
    rejection accepts too few of them.
    """
    if run.prompts is not None:
        return {}
    law, reward, scale = law_of(run, 0), reward_of(run).reward, run.problem.tilt.scale
    if law is None or reward.upper is None or law.means.shape[1] != 2 or scale < 0:
        return {}
    first = EXACT + 2 * run.problem.noise.seed
    weights = torch.softmax(result.log_weights, dim=1).flatten().cpu() / len(result.log_weights)
    samples, equal = result.samples.flatten(0, 1).cpu(), torch.full_like(weights, 1 / len(weights))
    try:
        target, other = (
            tilted_by_rejection(law, reward.call, scale, reward.upper, len(samples), seed)
            for seed in (first, first + 1)
        )
    except ValueError:  # too few draws are accepted
        return {}
    return {
        "mmd": mmd(samples, target, weights),
        "mmd/floor": mmd(other, target, equal),
        "sliced_w2": sliced_w2(samples, target, weights),
        "sliced_w2/floor": sliced_w2(other, target, equal),
    }
