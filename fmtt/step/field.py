"""A velocity that particles follow in the place of the model's own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from fmtt.step.needs import Needs
from fmtt.tilt.posterior import Posterior, Velocities, tilted_mean
from fmtt.tilt.tilt import Tilt


class Field(Protocol):
    """A velocity of populations."""

    @property
    def needs(self) -> Needs:
        """What it uses in each step."""
        ...

    def velocity(self, x: Tensor, t: float, base: Velocities, tilt: Tilt, copies: Tensor | None) -> Tensor:
        """The velocity of ``x (G, N, *D)``, from the model's, ``base``, and draws ``copies (G, M, N, *D)``."""
        ...


@dataclass(frozen=True)
class LocalTilt:
    """``b^r_t(x) = E[(x_1 - x) e^r(x_1) | x_t = x] / ((1 - t) E[e^r | x_t = x])``: the path of the tilted data itself.

    Expectations are taken by samples of the posterior (:mod:`fmtt.tilt.posterior`), so that it needs no gradient of the
    reward and is biased like 1 / samples. It is our reading of the local tilt dynamics of arXiv 2511.22688
    (Lemma A.4), whose text is not public.
    """

    posterior: Posterior

    @property
    def needs(self) -> Needs:
        return Needs(copies=self.posterior.samples)

    def velocity(self, x: Tensor, t: float, base: Velocities, tilt: Tilt, copies: Tensor | None) -> Tensor:
        assert copies is not None
        return (tilted_mean(self.posterior, x, t, base, tilt, copies) - x) / (1 - t)
