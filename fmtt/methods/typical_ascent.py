"""Ascent in noise space that stays where the model itself would still draw from."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from fmtt.flow import Velocity, in_chunks
from fmtt.guidance import lengths
from fmtt.loop import Loop, State
from fmtt.methods.ascent import AscentState, Nesterov
from fmtt.methods.maximiser import Maximiser
from fmtt.noise import Noise
from fmtt.particles import require_finite
from fmtt.schedules import RampFrom
from fmtt.setting import Setting
from fmtt.tilt import Tilt, columns
from fmtt.typicality import denoising_error
from fmtt.validation import fraction, positive, whole_number

LOOKED_AT = 0.5  # time of the denoising error: half signal, half noise
FIRST_RADIUS = 5.0
WIDER, NARROWER = 1.2, 0.7  # factors of the radius


@dataclass(frozen=True)
class TypicalState(AscentState):
    """A run after some iterations.

    Attributes:
        origin: the noise that each particle started from, ``(G, N, *D)``.
        limit: the denoising error that its samples may have, ``(G, N)``.
        radius: how far from the origin it may go for now, ``(G, N)``.
        allowed: whether it is at a sample within the limit, ``(G, N)``.
    """

    origin: Tensor
    limit: Tensor
    radius: Tensor
    allowed: Tensor


@dataclass(frozen=True)
class TypicalAscent(Loop):
    """``iterations`` of ascent from N(0, I), on the sphere of its start, within a ball whose radius the model decides.

    The ball widens while the samples surprise the model no more than its own do, and shrinks when they surprise it
    more; then the particle rests and is drawn back. Only samples that pass are returned.

    Attributes:
        tilt: the whole tilt, of ramp 1.
        model: whose denoising error is asked for.
        iterations, particles: K and N.
        noise: the keyed noise.
        rule: the settings.
    """

    tilt: Tilt
    model: Velocity
    iterations: int
    particles: int
    noise: Noise
    rule: TypicalOpt

    state = TypicalState

    @property
    def steps(self) -> int:
        return self.iterations

    def start(self) -> TypicalState:
        shape = (self.particles, *self.model.shape)
        z = self.noise.normal(shape, 0, "start")
        tilt = self.tilt.evaluate(z, 0.0, gradient=True)
        require_finite("the reward", tilt.reward, 0, self.noise.groups)
        assert tilt.sample is not None
        limit = self.surprise(tilt.sample, self.noise).clamp_min(self.usual())
        return TypicalState(
            **vars(AscentState.start_from(z, tilt)), origin=z, limit=limit,
            radius=torch.full_like(limit, FIRST_RADIUS), allowed=torch.ones_like(limit, dtype=torch.bool),
        )  # fmt: skip

    def step(self, state: State) -> TypicalState:
        assert isinstance(state, TypicalState)
        z, momentum = self.target(state)
        tilt = self.tilt.evaluate(z, 0.0, gradient=state.step + 1 < self.iterations)
        require_finite("the reward", tilt.reward, state.step + 1, self.noise.groups)
        assert tilt.sample is not None
        allowed = self.surprise(tilt.sample, self.noise) <= state.limit
        radius = (state.radius * torch.where(allowed, WIDER, NARROWER)).clamp_max(math.sqrt(2 * self.rule.nats))
        later = replace(state, momentum=momentum, radius=radius, allowed=allowed)
        return later.improved(tilt, self.tilt.scale, allowed).moved(z, tilt, self.tilt.scale, self.iterations)

    def target(self, state: TypicalState) -> tuple[Tensor, Tensor]:
        """Where the particles go, and their momentum: up, into the ball, and onto the sphere; ``(G, N, *D)`` each."""
        slope = state.population.tilt.gradient
        assert slope is not None
        z, momentum = self.rule.climb(state.population.x, state.momentum * columns(state.allowed, slope), slope)
        way = z - state.origin
        z = state.origin + way * (columns(state.radius, way) / lengths(way)).clamp_max(1.0)
        return z * lengths(state.origin) / lengths(z), momentum

    @torch.no_grad()
    def usual(self) -> float:
        """The quantile of the denoising errors of the model's own samples that is still called typical.

        The same samples for all groups, so that groups stay independent of each other given the seed.
        """
        pilot = replace(self.noise, groups=tuple(range(self.rule.pilot)))
        z = pilot.normal((1, *self.model.shape), 0, "pilot")
        samples = in_chunks(lambda x, t: self.tilt.look_ahead(x, t).sample, z, (0.0,), self.tilt.chunk)
        return float(torch.quantile(self.surprise(samples, pilot), self.rule.quantile))

    @torch.no_grad()
    def surprise(self, samples: Tensor, noise: Noise) -> Tensor:
        """The denoising error of ``samples (G, N, *D)`` by noise that stays the same through the run; ``(G, N)``."""
        draws = noise.normal(samples.shape[1:], 0, "denoising")
        return denoising_error(self.model, samples, draws, LOOKED_AT, self.tilt.chunk)


@dataclass(frozen=True)
class TypicalOpt(Maximiser):
    """The settings.

    Attributes:
        climb: the optimiser.
        nats: the farthest from its start that a particle goes before it is put onto the sphere, ``|z - z_0|^2 / 2``.
        quantile: of the denoising errors of the model's own samples.
        pilot: how many of them are drawn to find it.
    """

    climb: Nesterov
    nats: float
    quantile: float
    pilot: int

    def __post_init__(self) -> None:
        positive("mode.nats", self.nats)
        fraction("mode.quantile", self.quantile)
        whole_number("mode.pilot", self.pilot, 1)

    def loop(self, setting: Setting) -> TypicalAscent:
        whole = replace(setting.tilt, ramp=RampFrom(1.0))
        steps = len(setting.times) - 1
        return TypicalAscent(whole, setting.model, steps, setting.particles, setting.noise, self)
