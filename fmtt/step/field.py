"""The velocity that particles follow: the model's own, or that of the exactly tilted path."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from fmtt.tilt.posterior import Posterior, Velocities, tilted_mean
from fmtt.tilt.tilt import Tilt


class Field(Protocol):
    """A velocity of populations.

    ``exact`` says that it is the model's own; ``samples`` how many normal draws each particle needs in a step.
    """

    @property
    def exact(self) -> bool: ...

    @property
    def samples(self) -> int: ...

    def velocity(self, x: Tensor, t: float, base: Velocities, tilt: Tilt, draws: Tensor | None) -> Tensor:
        """The velocity of ``x (G, N, *D)`` at time t, from ``base``, the model's, and ``draws (G, M, N, *D)``."""
        ...


class ModelField:
    """``b_t``: the model's velocity."""

    exact = True
    samples = 0

    def velocity(self, x: Tensor, t: float, base: Velocities, tilt: Tilt, draws: Tensor | None) -> Tensor:
        return base(x, t)


@dataclass(frozen=True)
class LocalTilt:
    """``b^r_t(x) = E[(x_1 - x) e^r(x_1) | x_t = x] / ((1 - t) E[e^r | x_t = x])``: the path of the tilted data itself.

    Expectations are taken by samples of the posterior (:mod:`fmtt.tilt.posterior`), so that it needs no gradient of the
    reward and is biased like 1 / samples. It is our reading of the local tilt dynamics of arXiv 2511.22688
    (Lemma A.4), whose text is not public.
    """

    posterior: Posterior
    exact = False

    @property
    def samples(self) -> int:
        return self.posterior.samples

    def velocity(self, x: Tensor, t: float, base: Velocities, tilt: Tilt, draws: Tensor | None) -> Tensor:
        assert draws is not None
        return (tilted_mean(self.posterior, x, t, base, tilt, draws) - x) / (1 - t)
