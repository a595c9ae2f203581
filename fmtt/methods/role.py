"""The role of a method: which particle is returned for each group.

A maximiser returns its best particle, a sampler a draw from the law of its weighted particles. Weighted particles can
play both roles; those of a search follow no law that is known, so that a draw among them means nothing. Some published
code returns the particle of the largest weight, which is neither.
"""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from fmtt.checks import choice
from fmtt.flow.noise import Noise
from fmtt.smc.population import Population, normalised_weights
from fmtt.smc.resampling import inverse_cdf

MAXIMISE, SAMPLE, HEAVIEST = "maximise", "sample", "heaviest"


class HasRole(Protocol):
    """What was made to maximise, or to sample."""

    @property
    def role(self) -> str: ...


def role_of(method: HasRole, wanted: str | None) -> str:
    """The role that ``method`` plays: ``wanted``, or its own if that is None.

    Raises:
        ValueError: if there is no such role, or a maximiser is asked to sample.
    """
    if wanted is None:
        return method.role
    role = choice("role", wanted, (MAXIMISE, SAMPLE))
    if role == SAMPLE and method.role == MAXIMISE:
        raise ValueError(f"role={SAMPLE}: the particles of this mode follow no known law; use role={MAXIMISE}")
    return role


def returned(role: str, population: Population, noise: Noise) -> Tensor:
    """The index of the particle that is returned for each group, ``(G,)``."""
    if role == HEAVIEST:
        return population.log_weights.argmax(dim=1)
    return best(population) if role == MAXIMISE else drawn(population, noise)


def best(population: Population) -> Tensor:
    """The particle of the largest tilt in each group, ``(G,)``."""
    return population.tilt.value.argmax(dim=1)


def drawn(population: Population, noise: Noise) -> Tensor:
    """A particle of each group, ``(G,)``, drawn by weight, so that it follows the law of the weighted particles.

    The particle of the largest weight would not.
    """
    return inverse_cdf(normalised_weights(population.log_weights), noise.uniform((1,), 0, "choice"))[:, 0]
