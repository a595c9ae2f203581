"""How much a sample surprises the model that it is said to come from, asked of the model itself."""

from __future__ import annotations

import torch
from torch import Tensor

from fmtt.flow import Velocity, in_chunks

LOOKED_AT = 0.5  # half signal, half noise
USUAL = 0.75  # the quantile of the errors of a model's own samples that is still called usual


def denoising_error(model: Velocity, samples: Tensor, noise: Tensor, chunk: int, t: float = LOOKED_AT) -> Tensor:
    """``|den_t((1-t) e + t x) - x|^2 / d`` of samples x by the noise e, one evaluation of the network each.

    A term of the bound on the likelihood that diffusion models are trained by (Kingma et al. 2021; as a classifier: Li
    et al. 2023): what the model would not have drawn, it denoises badly.

    Args:
        model: the model.
        samples: x, clean, ``(G, N, *D)``.
        noise: e, standard normal, of the same shape.
        chunk: the largest batch that the model sees.
        t: a time before 1.

    Returns:
        ``(G, N)`` in float64.
    """
    points = (1 - t) * noise + t * samples
    denoised = points + (1 - t) * in_chunks(model.velocity, points, (t,), chunk)
    return (denoised - samples).flatten(2).double().square().mean(-1)


def usual_error(model: Velocity, samples: Tensor, noise: Tensor, chunk: int) -> float:
    """The upper quartile of the denoising errors of ``samples`` that the model itself has drawn; arguments as above."""
    return float(torch.quantile(denoising_error(model, samples, noise, chunk), USUAL))
