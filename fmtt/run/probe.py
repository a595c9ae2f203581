"""A reward is tried before a run: does it fit the model, has it a gradient, is it a function of each sample alone?"""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

import torch

from fmtt.api import Run
from fmtt.flow.conditions import for_rows
from fmtt.flow.meter import Meter
from fmtt.flow.noise import normal
from fmtt.run.exact_metrics import exact_metrics, reward_of
from fmtt.tilt.tilt import differentiable

CLOSE = 1e-2  # difference of two rewards, by the larger one, that rounding may make, also in half precision


def probe(run: Run) -> bool:
    """Whether the reward has a gradient; a reward that does not fit the model fails here, before the run."""
    reward: Any = replace(run.problem.tilt.reward, meter=Meter(run.meter.device))  # type: ignore[type-var]
    two = torch.zeros(1, 2, *run.problem.model.shape, device=run.meter.device, dtype=run.problem.noise.dtype)
    return differentiable(replace(run.problem.tilt, reward=reward), two)


@torch.no_grad()
def check_evaluator(run: Run) -> None:
    """ValueError if the evaluator of the model does not fit its samples."""
    flow, device = run.problem.model.flow, run.meter.device
    if flow.evaluator is None:
        return
    shape = flow.decoded_shape(device)
    try:
        flow.evaluator(torch.zeros(1, *shape, device=device))
    except RuntimeError as error:
        raise ValueError(
            f"model.evaluator: does not fit samples of shape {tuple(shape)}; use model.evaluator=null"
        ) from error


def check_tilted_law(run: Run) -> None:
    """ValueError if the tilted law is known not to exist: the reward grows faster than the tails of the model fall."""
    form = reward_of(run).reward.quadratic_form
    for number in range(run.prompts or 1) if form is not None else ():
        exact_metrics(run, number)


@torch.no_grad()
def warn_of_odd_rewards(run: Run) -> None:
    """Say on stderr if the reward changes its samples, or makes that of one sample depend on others or on chance.

    Weights and gradients are wrong for such a reward. It is called for two draws of noise together, and for each alone.
    """
    device, first = run.meter.device, None if run.prompts is None else run.prompt[:1]
    plain: Any = replace(run.problem.tilt.reward, meter=Meter(device), decode=None)  # type: ignore[type-var]
    x = normal((2, *run.problem.model.shape), 0, "probe", device=device).to(run.problem.noise.dtype)
    decode = run.problem.model.flow.decode
    seen = x if decode is None else decode(x)
    before = seen.clone()
    together = for_rows(plain, None if first is None else first.expand(2))(seen)
    if not torch.equal(seen, before):
        print("fmtt: warning: the reward changes the samples that it is given", file=sys.stderr)
    alone = torch.cat([for_rows(plain, first)(before[[k]].clone()) for k in range(2)])
    size = together.double().abs().max()
    if not torch.allclose(together.double(), alone.double(), rtol=CLOSE, atol=CLOSE * size, equal_nan=True):
        what = "depends on the other samples of its batch, or on chance; weights are wrong for such a reward"
        print(f"fmtt: warning: the reward of a sample {what}", file=sys.stderr)


def warn_of_model(run: Run) -> None:
    """Say on stderr what the model asks to be known before results are believed."""
    if run.problem.model.flow.caution is not None:
        print(f"fmtt: note: {run.problem.model.flow.caution}", file=sys.stderr)
