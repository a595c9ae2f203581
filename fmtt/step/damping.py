"""Damping of guidance while the sample is still uncertain.

A reward at a single guess of the sample pushes too hard: the optimal push is that of ``log E[e^r(x_1) | x_t]``, and the
spread of ``x_1`` weakens it (arXiv 2606.02884).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from fmtt.checks import positive
from fmtt.step.guidance import Guidance, Vantage
from fmtt.step.needs import Needs


class Damping(Protocol):
    """A rule for how guidance is weakened."""

    def applied(self, guidance: Guidance) -> Guidance:
        """The damped guidance."""
        ...


class NoDamping:
    """Guidance as it is."""

    def applied(self, guidance: Guidance) -> Guidance:
        return guidance


@dataclass(frozen=True)
class GaussianDamping:
    """Guidance divided by ``1 + 2 |lambda| s^2``, with lambda the strength ``beta(t) scale`` of the tilt.

    s^2 is the variance of x_1 given x_t, for data with the isotropic law ``N(m, sigma^2)``:
    ``sigma^2 (1-t)^2 / ((1-t)^2 + t^2 sigma^2)``. It is exact for such data, the reward ``-|x - a|^2`` and the denoiser
    as look-ahead.

    Attributes:
        sigma: standard deviation of the data.
    """

    sigma: float = 1.0

    def __post_init__(self) -> None:
        positive("sampler.damping.sigma", self.sigma)

    def variance(self, t: float) -> float:
        """s^2 at time t."""
        noise, data = (1 - t) ** 2, (t * self.sigma) ** 2
        return self.sigma**2 * noise / (noise + data)

    def factor(self, t: float, strength: float) -> float:
        """What guidance is multiplied by."""
        return 1 / (1 + 2 * abs(strength) * self.variance(t))

    def applied(self, guidance: Guidance) -> Guidance:
        return Damped(guidance, self)


@dataclass(frozen=True)
class Damped:
    """Guidance that is multiplied by the factor of ``damping``. It no longer leaves the tilted law invariant."""

    guidance: Guidance
    damping: GaussianDamping
    invariant = False

    @property
    def needs(self) -> Needs:
        return self.guidance.needs

    def __call__(self, at: Vantage) -> Tensor:
        return self.damping.factor(at.t, at.tilt.strength(at.t)) * self.guidance(at)
