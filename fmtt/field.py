"""The velocity that particles follow: the model's own, or that of the exactly tilted path."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from fmtt.tilt import Tilt
from fmtt.validation import whole_number

Velocities = Callable[[Tensor, float], Tensor]  # populations (G, N, *D) at one time to b_t, chunked

# Nodes and weights of Gauss-Legendre quadrature over [0, 1] with two points: exact for a score linear along the way.
NODES = ((0.5 - math.sqrt(3) / 6, 0.5), (0.5 + math.sqrt(3) / 6, 0.5))


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

    The posterior of x_1 is sampled by noise and look-ahead: ``x' = q x + sqrt((1-t')^2 - q^2 (1-t)^2) e`` at an earlier
    time t', ``z = L_{t'}(x')``, with the self-normalised weights of Diamond Maps (arXiv 2602.05993; derived anew)

        log w = r(z) + log N(x; t z, (1-t)^2) + log rho_{t'}(x') / rho_{t'}(q x) + |e|^2 / 2,

    the log ratio of densities being the line integral of the score. Needs no gradient of the reward; right for a
    transported look-ahead as samples and steps grow; biased like 1 / samples, and of use in few dimensions only. It is
    our reading of the local tilt dynamics of arXiv 2511.22688 (Lemma A.4), whose text is not public.

    Attributes:
        samples: M, look-aheads of each particle in each step.
        drop: factor by which the signal-to-noise ratio ``(t / (1-t))^2`` falls from t to t'.
    """

    samples: int = 32
    drop: float = 9.0
    exact = False

    def __post_init__(self) -> None:
        whole_number("mode.samples", self.samples, 2)
        if not self.drop > 1:
            raise ValueError(f"mode.drop={self.drop}: must be more than 1")

    def velocity(self, x: Tensor, t: float, base: Velocities, tilt: Tilt, draws: Tensor | None) -> Tensor:
        assert draws is not None
        groups, particles = x.shape[:2]
        ratio = 1 / (t + (1 - t) * math.sqrt(self.drop))  # q = t' / t, also for t = 0
        earlier = ratio * t
        spread = math.sqrt((1 - earlier) ** 2 - (ratio * (1 - t)) ** 2)
        start, way = (ratio * x)[:, None], spread * draws

        def flat(samples: Tensor) -> Tensor:  # (G, M, N, *D) to (G, M N, *D)
            return samples.flatten(1, 2)

        log_density = x.new_zeros(groups, self.samples, particles, dtype=torch.float64)
        for node, weight in NODES:
            at = flat(start + node * way)
            score = ((earlier * base(at, earlier) - at) / (1 - earlier)).reshape(draws.shape)
            log_density += weight * (score * way).flatten(3).sum(-1).double()
        z, reward = tilt.land(flat(start + way), earlier)
        z, reward = z.reshape(draws.shape), reward.reshape(log_density.shape)
        miss = ((x[:, None] - t * z) / (1 - t)).flatten(3).square().sum(-1).double()
        log_w = tilt.scale * reward - miss / 2 + log_density + draws.flatten(3).square().sum(-1).double() / 2
        weights = torch.softmax(log_w, dim=1).to(x.dtype).reshape(*log_w.shape, *[1] * (x.ndim - 2))
        return ((weights * z).sum(1) - x) / (1 - t)
