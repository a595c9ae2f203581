"""A ring in the plane: points of a circle plus Gaussian noise, the base model of toy B (arXiv 2511.22688).

A sample is ``radius (cos a, sin a)`` with a uniform angle a, plus ``std`` times normal noise. At time t it is the ring
of radius ``R = t radius`` and variance ``v = (1-t)^2 + t^2 std^2``, whose density is ``exp(-(|x|^2 + R^2) / 2v)
I_0(|x| R / v) / (2 pi v)``. So a velocity costs two Bessel functions; a mixture would need about a hundred modes.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from fmtt.checks import at_least, positive, whole_number
from fmtt.flow.interpolant import expand
from fmtt.flow.ode import runge_kutta
from fmtt.models.analytic import MixtureLaw

THINNEST = 1e-5  # smallest standard deviation, in units of the radius; the law would have too many modes


class Ring:
    """The ring as a model; its flow map is an accurate, differentiable ODE solve.

    Args:
        radius: of the circle.
        std: of the noise around it.
        steps: Runge-Kutta steps of the flow map over a unit of time.

    Attributes:
        law: a mixture of Gaussians on the circle, with so many modes that its density is uniform around the circle up
            to one part in 10^8.
    """

    shape = (2,)
    exact_flow_map = True

    def __init__(self, radius: float, std: float, steps: int = 32):
        self.radius = positive("model.radius", radius)
        self.std = at_least("model.std", positive("model.std", std), THINNEST * radius)
        self.steps = whole_number("model.steps", steps, 1)
        # With K modes at angles 2 pi k / K, the relative variation of the density around the circle is
        # 2 exp(-(K std / radius)^2 / 2).
        modes = math.ceil(6.2 * radius / std) + 1
        angle = torch.arange(modes, dtype=torch.float64) * (2 * math.pi / modes)
        means = radius * torch.stack([angle.cos(), angle.sin()], dim=1)
        even = torch.full((modes,), -math.log(modes), dtype=torch.float64)
        self.law = MixtureLaw(means, torch.full_like(means, std), even)

    def velocity(self, x: Tensor, t: Tensor) -> Tensor:
        """The velocity, from the mean ``radius (I_1/I_0)(|x| R / v) x/|x|`` of the point of the circle given x."""
        time = expand(t, x)
        variance = (1 - time) ** 2 + (time * self.std) ** 2
        slope = (time * self.std**2 - (1 - time)) / variance
        square = x.square().sum(1, keepdim=True)
        distance = torch.sqrt(square + torch.finfo(x.dtype).tiny)  # differentiable at the centre
        argument = distance * time * self.radius / variance
        toward = self.radius * torch.special.i1e(argument) / torch.special.i0e(argument) / distance * x
        return toward + slope * (x - time * toward)

    def flow_map(self, x: Tensor, s: Tensor, t: Tensor) -> Tensor:
        return runge_kutta(self.velocity, x, s, t, self.steps)[0]
