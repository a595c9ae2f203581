"""Many random problems with known answers: are the z-scores of log Z and of the mean those of a normal law?

Slow; `make validate`. The step is fine enough that its error is small against the standard errors asked for here.
"""

from functools import partial

import pytest
import torch

import fmtt
from fmtt import modes, noise
from fmtt.models.analytic import GaussianMixture
from fmtt.rewards import Linear, Quadratic

PROBLEMS, GROUPS, PARTICLES, STEPS = 40, 24, 100, 150


def problem(number: int) -> tuple[GaussianMixture, Linear | Quadratic]:
    """A mixture of 1 to 4 asymmetric components in 1 to 4 dimensions, and a linear or quadratic reward."""
    draw = noise.generator("random problem", number)
    dimension, components = int(draw.integers(1, 5)), int(draw.integers(1, 5))
    means = draw.normal(0, 1.2, (components, dimension)).tolist()
    stds, weights = draw.uniform(0.5, 1.2, components).tolist(), draw.uniform(0.2, 1.0, components).tolist()
    model = GaussianMixture(means, stds, weights, steps=8)
    if draw.random() < 0.5:
        return model, Linear(draw.normal(0, 0.6, dimension).tolist())
    center, precision = draw.normal(0, 1, dimension).tolist(), draw.uniform(0.1, 1.0, dimension).tolist()
    return model, Quadratic(center, precision)


def scores(number: int, weights: str, look_ahead: object) -> list[float]:
    """z-scores of Z and of the first coordinate's mean."""
    model, reward = problem(number)
    law, log_z = model.law.tilted(*reward.quadratic_form(model.shape[0]))
    run = fmtt.assemble(
        model, reward, look_ahead=look_ahead, mode=partial(modes.importance, weights=weights), steps=STEPS,
        groups=GROUPS, particles=PARTICLES, chunk=GROUPS * PARTICLES, seed=number,
    )  # fmt: skip
    result = fmtt.finish(run, run.sampler.last())
    ratio = (result.log_z - log_z).exp()
    # E[Z] and E[Z f] are unbiased group by group, their quotient is not.
    share = ratio * (result.mean(result.samples)[:, 0] - law.mean[0])
    return [float((value.mean() - target) / (value.std() / GROUPS**0.5)) for value, target in ((ratio, 1), (share, 0))]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("weights", "look_ahead"),
    [
        ("jarzynski", partial(fmtt.FlowMapJumps, steps=1)),
        ("kernel", partial(fmtt.FlowMapJumps, steps=1)),
        ("kernel", fmtt.Denoiser),
        ("material", fmtt.Denoiser),
        ("kernel", fmtt.NoLookAhead),
    ],
    ids=["jarzynski-map", "kernel-map", "kernel-denoiser", "material-denoiser", "kernel-none"],
)
def test_scores_are_those_of_a_normal_law(weights: str, look_ahead: object) -> None:
    z = torch.tensor([scores(number, weights, look_ahead) for number in range(PROBLEMS)])
    # The mean of PROBLEMS standard normal squares is 1 with standard error sqrt(2 / PROBLEMS).
    assert (z.square().mean(0) < 1 + 5 * (2 / PROBLEMS) ** 0.5).all(), z
    assert (z.mean(0).abs() < 4 / PROBLEMS**0.5).all(), z.mean(0)
