"""What the sampler converges to for Gaussian data with K steps and infinitely many particles, in closed form.

On Gaussian data every velocity and look-ahead is affine in x, and the rewards are quadratic, coordinate by coordinate.
The weighted law of the particles is then a Gaussian at every step, and one step multiplies it by the exponential of a
parabola, pushes it through an affine map with noise, and multiplies again. Nothing here is taken from the package but
the schedules, so it is a second source for move and weights at any K, and as K grows it must become the tilted law.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch

from fmtt.step.transport import FlowMapTransport
from tests.support import GAUSSIAN, REWARDS, Setup, Truth


class Affine(NamedTuple):
    """``x -> slope x + offset``."""

    slope: float
    offset: float

    def after(self, first: Affine) -> Affine:
        return Affine(self.slope * first.slope, self.slope * first.offset + self.offset)

    def times(self, other: Affine) -> Parabola:
        cross = self.slope * other.offset + self.offset * other.slope
        return Parabola(-2 * self.slope * other.slope, cross, self.offset * other.offset)


class Parabola(NamedTuple):
    """``x -> -a x^2 / 2 + b x + c``."""

    a: float
    b: float
    c: float = 0.0

    def of(self, inner: Affine) -> Parabola:
        p, q = inner
        return Parabola(self.a * p**2, p * (self.b - self.a * q), -self.a * q**2 / 2 + self.b * q + self.c)

    def derivative(self) -> Affine:
        return Affine(-self.a, self.b)

    def plus(self, constant: float) -> Parabola:
        return Parabola(self.a, self.b, self.c + constant)

    def times(self, factor: float) -> Parabola:
        return Parabola(factor * self.a, factor * self.b, factor * self.c)


class Mass(NamedTuple):
    """The measure ``exp(log) N(mean, variance)``."""

    log: float
    mean: float
    variance: float

    def weighted(self, w: Parabola) -> Mass:
        """Multiplied by ``exp(w(x))``."""
        total, linear = 1 / self.variance + w.a, self.mean / self.variance + w.b
        log = (linear**2 / total - self.mean**2 / self.variance - math.log(total * self.variance)) / 2
        return Mass(self.log + w.c + log, linear / total, 1 / total)

    def moved(self, map_: Affine, variance: float) -> Mass:
        """Pushed through ``map_``, with noise of that variance added."""
        return Mass(self.log, map_.slope * self.mean + map_.offset, map_.slope**2 * self.variance + variance)


class Data(NamedTuple):
    """One coordinate of the data, ``N(mean, std^2)``, and its affine fields."""

    mean: float
    std: float

    def velocity(self, t: float) -> Affine:
        slope = (t * self.std**2 - (1 - t)) / ((1 - t) ** 2 + t**2 * self.std**2)
        return Affine(slope, self.mean - slope * t * self.mean)

    def euler(self, t: float, width: float) -> Affine:
        slope, offset = self.velocity(t)
        return Affine(1 + width * slope, width * offset)

    def flow_map(self, s: float, t: float) -> Affine:
        sigma_s, sigma_t = (math.hypot(1 - u, u * self.std) for u in (s, t))
        return Affine(sigma_t / sigma_s, self.mean * (t - s * sigma_t / sigma_s))

    def look_ahead(self, name: str, t: float) -> Affine:
        if name == "none" or t == 1:
            return Affine(1.0, 0.0)
        if name == "denoiser":
            return self.euler(t, 1 - t)
        if name == "diffusion2":
            return self.euler((1 + t) / 2, (1 - t) / 2).after(self.euler(t, (1 - t) / 2))
        return self.flow_map(t, 1)

    def material_rate(self, name: str, reward: Parabola, t: float) -> Parabola:
        """``r'(L) (d_t L + L' b)``, a product of two affine functions of x."""
        (p, q), (v, u), h = self.look_ahead(name, t), self.velocity(t), 1e-6
        later, earlier = self.look_ahead(name, t + h), self.look_ahead(name, t - h)
        w1, w0 = ((b - a) / (2 * h) + c for a, b, c in zip(earlier, later, (p * v, p * u), strict=True))
        return reward.derivative().after(Affine(p, q)).times(Affine(w1, w0))


def evolve(data: Data, reward: Parabola, setup: Setup, mean: float) -> Mass:
    """One coordinate of ``setup.steps`` steps of the sampler from ``N(mean, (1 - t_0)^2)``."""
    mass = Mass(0.0, mean, (1 - setup.times[0]) ** 2)
    kernel, name = setup.weights == "kernel", setup.look_ahead
    for t, then in zip(setup.times[:-1], setup.times[1:], strict=True):
        dt, epsilon, beta, rise = then - t, setup.epsilon(then), setup.ramp(t), setup.ramp(then) - setup.ramp(t)
        (v, u), seen = data.velocity(t), reward.of(data.look_ahead(name, t))
        landed = reward.of(data.look_ahead(name, then))
        pull = -epsilon / (1 - t)  # eps s = pull E[x_0 | x_t]
        slope, offset = pull * (1 - t * v), -pull * t * u
        if not kernel:  # kernel weights take the guidance back, exactly
            chi, gradient = setup.chi(then), seen.times(beta).derivative()
            tilted_score = Affine((t * v - 1) / (1 - t) + gradient.slope, t * u / (1 - t) + gradient.offset)
            mass = mass.weighted(gradient.times(tilted_score).plus(gradient.slope).times(chi * dt))
            slope, offset = slope + (epsilon + chi) * gradient.slope, offset + (epsilon + chi) * gradient.offset
        if setup.transport is FlowMapTransport:
            mass = mass.moved(Affine(1 + dt * slope, dt * offset), 2 * epsilon * dt)
            start = seen.times(-beta if setup.weights == "material" else 0.0)
            end = landed.times({"jarzynski": rise, "material": beta + rise, "kernel": 0.0}[setup.weights])
            mass = mass.weighted(start).moved(data.flow_map(t, then), 0.0).weighted(end)
            continue
        if not kernel:
            mass = mass.weighted(seen.times(rise / 2))
        if setup.weights == "material":
            mass = mass.weighted(data.material_rate(name, reward, t).times(beta * dt))
        mass = mass.moved(Affine(1 + dt * (v + slope), dt * (u + offset)), 2 * epsilon * dt)
        if not kernel:
            mass = mass.weighted(landed.times(rise / 2))
    return mass.weighted(reward) if kernel else mass


def reference(setup: Setup, start: Sequence[float] = (0.0, 0.0)) -> Truth:
    """The law, and log Z, of ``setup.steps`` steps of the sampler; no resampling, which changes neither.

    ``start`` is the mean of the particles at t_0.
    """
    precision, slope, constant = REWARDS[setup.reward].quadratic_form(2)
    rewards = [
        Parabola(setup.scale * a, setup.scale * b) for a, b in zip(precision.tolist(), slope.tolist(), strict=True)
    ]
    data = [Data(*entry) for entry in zip(GAUSSIAN.mean.tolist(), GAUSSIAN.std.tolist(), strict=True)]
    masses = [evolve(*entry[:2], setup, entry[2]) for entry in zip(data, rewards, start, strict=True)]
    log, mean, variance = torch.tensor(masses, dtype=torch.float64).unbind(1)
    return Truth(mean, mean**2 + variance, log.sum() + setup.scale * constant)
