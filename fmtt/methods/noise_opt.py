"""Gradient ascent on the noise of a generator (ReNO, arXiv 2406.04312)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from fmtt.guidance import lengths
from fmtt.look_ahead import LookAhead, require_generator
from fmtt.loop import Loop, State
from fmtt.modes import best
from fmtt.noise import Noise
from fmtt.particles import Population, require_finite
from fmtt.schedules import Epsilon, RampFrom
from fmtt.setting import Setting
from fmtt.tilt import Tilt
from fmtt.validation import at_least, fraction, positive


@dataclass(frozen=True)
class AscentState(State):
    """A run after some iterations. The population's tilt is that of the noise where each particle is.

    Attributes:
        momentum: ``(G, N, *D)``.
        best_sample: the best sample that each particle has made so far, ``(G, N, *D)``.
        best_reward: its reward, ``(G, N)``.
    """

    momentum: Tensor
    best_sample: Tensor
    best_reward: Tensor


@dataclass(frozen=True)
class NoiseAscent(Loop):
    """``iterations`` of ascent with Nesterov momentum from N(0, I); every particle climbs on its own."""

    tilt: Tilt
    shape: tuple[int, ...]
    iterations: int
    particles: int
    noise: Noise
    rate: float
    momentum: float
    clip: float
    regularisation: float

    state = AscentState

    @property
    def steps(self) -> int:
        return self.iterations

    def start(self) -> AscentState:
        z = self.noise.normal((self.particles, *self.shape), 0, "start")
        tilt = self.tilt.evaluate(z, 0.0, gradient=True)
        require_finite("the reward", tilt.reward, 0, self.noise.groups)
        state = State.start(Population.start(z, tilt))
        assert tilt.sample is not None
        return AscentState(
            **vars(state), momentum=torch.zeros_like(z), best_sample=tilt.sample, best_reward=tilt.reward
        )

    def step(self, state: State) -> AscentState:
        assert isinstance(state, AscentState)
        population, last = state.population, state.step + 1 == self.iterations
        slope = self.slope(population)
        velocity = self.momentum * state.momentum + slope
        z = population.x + self.rate * (slope + self.momentum * velocity)
        tilt = self.tilt.evaluate(z, 0.0, gradient=not last)
        require_finite("the reward", tilt.reward, state.step + 1, self.noise.groups)
        assert tilt.sample is not None
        better = self.tilt.scale * (tilt.reward - state.best_reward) > 0
        reward = torch.where(better, tilt.reward, state.best_reward)
        sample = torch.where(better.reshape(*better.shape, *[1] * len(self.shape)), tilt.sample, state.best_sample)
        if last:
            z, tilt = sample, tilt._replace(reward=reward, value=self.tilt.scale * reward, sample=sample)
        t, still = (state.step + 1) / self.iterations, torch.zeros_like(state.length)
        later = state.after(t, replace(population, x=z, tilt=tilt), state.ess, still, state.selected, state.temper)
        return replace(later, momentum=velocity, best_sample=sample, best_reward=reward)

    def slope(self, population: Population) -> Tensor:
        """The gradient of ``scale r(X(z)) + regularisation log p(|z|)``, clipped; ``(G, N, *D)``.

        p is the density of the length of a standard normal vector, ``log p = (d - 1) log |z| - |z|^2 / 2``.
        """
        z, gradient = population.x, population.tilt.gradient
        assert gradient is not None
        size = lengths(z)
        d = z[0, 0].numel()
        total = gradient + self.regularisation * z * ((d - 1) / size.square() - 1)
        return total * (self.clip / lengths(total)).clamp_max(1.0)


@dataclass(frozen=True)
class NoiseOpt:
    """The settings; arguments as in :func:`noise_opt`."""

    rate: float
    momentum: float
    clip: float
    regularisation: float

    weighted = spreads_families = False
    block = 1

    def loop(self, setting: Setting) -> NoiseAscent:
        return NoiseAscent(
            replace(setting.tilt, ramp=RampFrom(1.0)), setting.model.shape, len(setting.times) - 1, setting.particles,
            setting.noise, self.rate, self.momentum, self.clip, self.regularisation,
        )  # fmt: skip

    def choose(self, population: Population, noise: Noise) -> Tensor:
        return best(population)


def noise_opt(
    look_ahead: LookAhead,
    epsilon: Epsilon,
    rate: float = 5.0,
    momentum: float = 0.9,
    clip: float = 0.1,
    regularisation: float = 0.01,
) -> NoiseOpt:
    """ReNO (arXiv 2406.04312): ascent of the reward of a generator in its noise; returns the best sample on the way.

    The objective, the optimiser and its constants are those of the paper and its code; the reward enters with its
    scale. ``sampler.steps`` is the number of iterations; every particle is a restart (the paper: one).

    Args:
        look_ahead, epsilon: those of the run; the look-ahead at t = 0 is the generator, and there is no epsilon.
        rate: of the ascent.
        momentum: of Nesterov, in [0, 1].
        clip: the largest length of the gradient of a particle.
        regularisation: weight of the log-density of the length of z, which keeps the noise as long as noise is.
    """
    require_generator(look_ahead, "noise_opt")
    positive("mode.rate", rate)
    fraction("mode.momentum", momentum)
    positive("mode.clip", clip)
    at_least("mode.regularisation", regularisation, 0)
    return NoiseOpt(rate, momentum, clip, regularisation)
