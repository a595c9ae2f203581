"""How much a sample surprises the model that it is said to come from, asked of the model itself."""

from __future__ import annotations

import torch
from torch import Tensor

from fmtt.flow.batches import Batches
from fmtt.flow.protocols import Velocity

LOOKED_AT = 0.35  # time; at t = 0.5, or with a single noise draw, a search overfits the error estimate
DRAWS = 2  # of noise for each sample
USUAL = 0.75  # the quantile of the errors of a model's own samples that is still called usual


def denoising_error(model: Velocity, samples: Tensor, noise: Tensor, batches: Batches, t: float = LOOKED_AT) -> Tensor:
    """``|den_t((1-t) e + t x) - x|^2 / d`` of samples x, mean of R noises e, one evaluation of the network each.

    A term of the bound on the likelihood that diffusion models are trained by (Kingma et al. 2021; as a classifier: Li
    et al. 2023): what the model would not have drawn, it denoises badly.

    Args:
        model: the model.
        samples: x, clean, ``(G, N, *D)``.
        noise: e, standard normal, ``(G, R, N, *D)``.
        batches: how populations are cut for the model.
        t: a time before 1.

    Returns:
        ``(G, N)`` in float64.
    """
    points = (1 - t) * noise + t * samples[:, None]
    velocity = batches.velocity(model, points.flatten(1, 2), t).reshape(points.shape)
    denoised = points + (1 - t) * velocity
    return (denoised - samples[:, None]).flatten(3).double().square().mean((1, 3))


def usual_error(model: Velocity, samples: Tensor, noise: Tensor, batches: Batches) -> float:
    """The upper quartile of the denoising errors of ``samples`` that the model itself has drawn; arguments as above."""
    return float(torch.quantile(denoising_error(model, samples, noise, batches), USUAL))
