"""Gaussians in noise space that moves propose from: the law of the noise, or a narrower one that fits the particles."""

from __future__ import annotations

import math
from collections.abc import Callable

from torch import Tensor

from fmtt.smc.population import Population, normalised_weights

NARROWEST = 1e-3  # least standard deviation
CLEAR = 2.0  # standard errors by which a width must differ, at least
MEDIAN = 1.25  # error of a median, by that of the mean

Reference = Callable[[Population], Tensor | None]


def prior(population: Population) -> None:
    """The law of the noise itself."""
    return


def fitted(population: Population) -> Tensor:
    """Standard deviations of the particles in each direction, ``(G, *D)``, where they are clearly below 1.

    The logarithm of a variance, estimated from n independent particles, has an error of about ``sqrt(2 / n)`` and a
    bias of about ``-1 / n``, where n is the effective sample size. What most directions have in common is estimated
    first, by the median. The rest is shrunk towards 0 by the universal threshold, ``sqrt(2 log d)`` errors (Donoho,
    Johnstone 1994): of d directions that are as wide as the noise, hardly one is then taken for narrow. No direction is
    taken for wider than the noise: several modes look so, and a reference as wide as their distance would miss each.
    """
    z = population.x.flatten(2)
    weights = normalised_weights(population.log_weights)[..., None]
    freedom = (1 / weights.square().sum(1) - 1).clamp_min(1.0)  # n - 1, (G, 1)
    spread = (weights * (z - (weights * z).sum(1, keepdim=True)).square()).sum(1) * (freedom + 1) / freedom
    logs = spread.clamp_min(NARROWEST**2).log() + 1 / freedom
    error, size = (2 / freedom).sqrt(), logs.shape[1]
    ordered = logs.sort(dim=1).values
    middle = (ordered[:, [(size - 1) // 2]] + ordered[:, [size // 2]]) / 2
    common = shrunk(middle, CLEAR * MEDIAN * error / math.sqrt(size))
    rest = shrunk(logs - common, error * max(math.sqrt(2 * math.log(size)), CLEAR))
    scale = ((common + rest).clamp_max(0.0) / 2).exp()
    return scale.to(population.x.dtype).reshape(population.x[:, 0].shape)


def shrunk(values: Tensor, by: Tensor) -> Tensor:
    """``values`` moved towards 0 by ``by``, and not past it."""
    return values.sign() * (values.abs() - by).clamp_min(0.0)


REFERENCES: dict[str, Reference] = {"fitted": fitted, "prior": prior}
