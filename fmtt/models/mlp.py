"""The two-time multilayer perceptron: average velocity of a flow map of points in a few dimensions."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from fmtt.flow.interpolant import expand
from fmtt.models.two_time import TimePair, gaussian_frame


class TwoTimeMLP(nn.Module):
    """Average velocity ``v_{s,t}(x)``, with ``X_{s,t}(x) = x + (t - s) v_{s,t}(x)`` and ``v_{t,t} = b_t``.

    Args:
        dimension: d.
        width: of the hidden layers.
        layers: number of hidden layers.
        embedding: width of the embedding of the two times.

    Shapes: ``x (B, d)``, ``s, t (B,)`` with ``0 <= s <= t <= 1``; the result is like ``x``.
    The buffers ``mean`` and ``std``, ``(d,)``, are those of the data (see :meth:`fit_gaussian`).
    """

    mean: Tensor
    std: Tensor

    def __init__(self, dimension: int = 2, width: int = 256, layers: int = 4, embedding: int = 64):
        super().__init__()
        self.shape = (dimension,)
        self.register_buffer("mean", torch.zeros(dimension))
        self.register_buffer("std", torch.ones(dimension))
        self.times = TimePair(embedding)
        sizes = [dimension + embedding, *[width] * layers]
        hidden = [nn.Sequential(nn.Linear(a, b), nn.SiLU()) for a, b in pairwise(sizes)]
        self.outlet = nn.Linear(width, dimension)
        nn.init.zeros_(self.outlet.weight)
        nn.init.zeros_(self.outlet.bias)
        self.hidden = nn.Sequential(*hidden)

    def fit_gaussian(self, samples: Tensor) -> None:
        """Take the mean and standard deviation of every coordinate of ``samples (B, d)``."""
        self.mean.copy_(samples.mean(0))
        self.std.copy_(samples.std(0))

    def forward(self, x: Tensor, s: Tensor, t: Tensor) -> Tensor:
        frame = gaussian_frame(x, expand(s, x), expand(t, x), self.mean, self.std)
        times = self.times(s, t)
        return frame.velocity + frame.unit * self.outlet(
            self.hidden(torch.cat([frame.x.to(times.dtype), times], dim=1))
        )
