"""How far the returned samples are from real ones of the kind that the reward asks for."""

from __future__ import annotations

from dataclasses import replace

import torch

from fmtt.api import Run
from fmtt.evaluation.feature_distances import kernel_distance
from fmtt.flow.batches import joined
from fmtt.methods.result import Result
from fmtt.run.exact_metrics import reward_of
from fmtt.run_folder import Metrics

FEWEST = 16  # samples whose distance says something


@torch.no_grad()
def real_metrics(run: Run, result: Result) -> Metrics:
    """``kid`` with its standard error, for the samples that the groups return, in the features of the evaluator.

    Nothing where the model has no evaluator, the reward knows no real samples, or fewer than 16 are returned.
    """
    evaluator, reals = run.problem.model.flow.evaluator, reward_of(run).reward.real
    groups = len(result.selected)
    if evaluator is None or reals is None or groups < FEWEST:
        return {}
    real = reals()
    returned = result.decoded[torch.arange(groups, device=result.selected.device), result.selected]
    if real is None or real.shape[1:] != returned.shape[1:]:
        return {}
    batches = replace(run.problem.tilt.batches, prompt=None)
    features = [
        joined(batches.each(lambda part, _: evaluator.features(part), samples[None]))
        for samples in (returned, real.to(returned))
    ]
    distance, error = kernel_distance(*features)
    return {"kid": distance, "kid/stderr": error}
