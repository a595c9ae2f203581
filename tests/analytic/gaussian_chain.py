"""What the sampler converges to for Gaussian data with K steps and infinitely many particles, in closed form.

On Gaussian data every velocity and look-ahead is affine in x, and the rewards are quadratic. The weighted law of the
particles is then a Gaussian at every step, and one step multiplies it by the exponential of a quadratic, pushes it
through an affine map with noise, and multiplies again. Nothing here is taken from the package but the schedules, so it
is a second source for move and weights at any K, and as K grows it must become the tilted law.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from tests.analytic.support import GAUSSIAN, REWARDS, Setup, Truth


class Affine(NamedTuple):
    """``x -> slope x + offset`` for each coordinate."""

    slope: Tensor
    offset: Tensor

    def after(self, first: Affine) -> Affine:
        return Affine(self.slope * first.slope, self.slope * first.offset + self.offset)


class Parabola(NamedTuple):
    """``x -> -a x^2 / 2 + b x + c`` for each coordinate."""

    a: Tensor
    b: Tensor
    c: Tensor

    def of(self, inner: Affine) -> Parabola:
        p, q = inner
        return Parabola(self.a * p**2, p * (self.b - self.a * q), -self.a * q**2 / 2 + self.b * q + self.c)

    def times(self, factor: float) -> Parabola:
        return Parabola(factor * self.a, factor * self.b, factor * self.c)


class Mass(NamedTuple):
    """The measure ``exp(log) N(mean, variance)`` for each coordinate."""

    log: Tensor
    mean: Tensor
    variance: Tensor

    def weighted(self, w: Parabola) -> Mass:
        """Multiplied by ``exp(w(x))``."""
        total, linear = 1 / self.variance + w.a, self.mean / self.variance + w.b
        log = self.log + w.c + (linear**2 / total - self.mean**2 / self.variance - (total * self.variance).log()) / 2
        return Mass(log, linear / total, 1 / total)

    def moved(self, map_: Affine, variance: float) -> Mass:
        """Pushed through ``map_``, with noise of that variance added."""
        return Mass(self.log, map_.slope * self.mean + map_.offset, map_.slope**2 * self.variance + variance)


def velocity(t: float) -> Affine:
    mean, variance = GAUSSIAN.mean, GAUSSIAN.std**2
    slope = (t * variance - (1 - t)) / ((1 - t) ** 2 + t**2 * variance)
    return Affine(slope, mean - slope * t * mean)


def euler(t: float, width: float) -> Affine:
    return Affine(1 + width * velocity(t).slope, width * velocity(t).offset)


def look_ahead(name: str, t: float) -> Affine:
    one = torch.ones(2, dtype=torch.float64)
    if name == "none" or t == 1:
        return Affine(one, 0 * one)
    if name == "denoiser":
        return euler(t, 1 - t)
    if name == "diffusion2":
        return euler((1 + t) / 2, (1 - t) / 2).after(euler(t, (1 - t) / 2))
    stretch = GAUSSIAN.std / torch.sqrt((1 - t) ** 2 + t**2 * GAUSSIAN.std**2)
    return Affine(stretch, GAUSSIAN.mean - stretch * t * GAUSSIAN.mean)


def material_rate(setup: Setup, reward: Parabola, t: float) -> Parabola:
    """``r'(L) (d_t L + L' b)`` as a parabola in x."""
    (p, q), (v, u), h = look_ahead(setup.look_ahead, t), velocity(t), 1e-6
    later, earlier = look_ahead(setup.look_ahead, t + h), look_ahead(setup.look_ahead, t - h)
    rate = Affine(*((b - a) / (2 * h) for a, b in zip(earlier, later, strict=True)))
    w1, w0 = rate.slope + p * v, rate.offset + p * u
    slope1, slope0 = -reward.a * p, reward.b - reward.a * q
    return Parabola(-2 * slope1 * w1, slope1 * w0 + slope0 * w1, slope0 * w0)


def reference(setup: Setup) -> Truth:
    """The law, and log Z, of ``setup.steps`` steps of the sampler; no resampling, which changes neither."""
    precision, slope, constant = REWARDS[setup.reward].quadratic_form(2)
    reward = Parabola(precision, slope, torch.zeros(2, dtype=torch.float64)).times(setup.scale)
    zero = torch.zeros(2, dtype=torch.float64)
    mass = Mass(zero, zero, zero + 1)
    for t, then in zip(setup.times[:-1], setup.times[1:], strict=True):
        dt, epsilon, beta, after = then - t, setup.epsilon(then), setup.ramp(t), setup.ramp(then)
        seen, (v, u), (p, q) = reward.of(look_ahead(setup.look_ahead, t)), velocity(t), look_ahead(setup.look_ahead, t)
        pull = -epsilon / (1 - t)  # eps s = pull E[x_0 | x_t]
        drift = Affine(v + pull * (1 - t * v), u - pull * t * u)
        if setup.weights != "kernel":  # kernel weights take the guidance back, exactly
            drift = Affine(
                drift.slope - epsilon * beta * reward.a * p**2, drift.offset + epsilon * beta * p * (reward.b - reward.a * q)
            )
            mass = mass.weighted(seen.times((after - beta) / 2))
        if setup.weights == "material":
            mass = mass.weighted(material_rate(setup, reward, t).times(beta * dt))
        mass = mass.moved(Affine(1 + dt * drift.slope, dt * drift.offset), 2 * epsilon * dt)
        if setup.weights != "kernel":
            mass = mass.weighted(reward.of(look_ahead(setup.look_ahead, then)).times((after - beta) / 2))
    if setup.weights == "kernel":
        mass = mass.weighted(reward)
    return Truth(mass.mean, mass.mean**2 + mass.variance, mass.log.sum() + setup.scale * constant)
