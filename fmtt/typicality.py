"""How much a sample surprises the model that it is said to come from, asked of the model itself."""

from __future__ import annotations

from torch import Tensor

from fmtt.flow import Velocity, in_chunks


def denoising_error(model: Velocity, samples: Tensor, noise: Tensor, t: float, chunk: int) -> Tensor:
    """``|den_t((1-t) e + t x) - x|^2 / d`` of samples x by the noise e, one evaluation of the network each.

    A term of the bound on the likelihood that diffusion models are trained by (Kingma et al. 2021; as a classifier: Li
    et al. 2023): what the model would not have drawn, it denoises badly.

    Args:
        model: the model.
        samples: x, clean, ``(G, N, *D)``.
        noise: e, standard normal, of the same shape.
        t: a time before 1.
        chunk: the largest batch that the model sees.

    Returns:
        ``(G, N)`` in float64.
    """
    points = (1 - t) * noise + t * samples
    denoised = points + (1 - t) * in_chunks(model.velocity, points, (t,), chunk)
    return (denoised - samples).flatten(2).double().square().mean(-1)
