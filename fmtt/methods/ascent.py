"""Gradient ascent of the reward in noise space: the part that its variants share."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from fmtt.checks import fraction, positive
from fmtt.methods.loop import Info, State
from fmtt.smc.population import Population
from fmtt.step.guidance import lengths
from fmtt.tilt.tilt import TiltValue, columns


@dataclass(frozen=True)
class AscentState(State):
    """A run after some iterations. The tilt of the population is the tilt at the current noise of each particle.

    Attributes:
        momentum: ``(G, N, *D)``.
        best_sample: the best sample of each particle so far, ``(G, N, *D)``.
        best_reward: its reward, ``(G, N)``.
    """

    momentum: Tensor
    best_sample: Tensor
    best_reward: Tensor

    @classmethod
    def start_from(cls, z: Tensor, tilt: TiltValue) -> AscentState:
        """The state at ``z (G, N, *D)`` with its tilt and zero momentum."""
        assert tilt.sample is not None
        state = State.start(Population.start(z, tilt))
        return cls(**vars(state), momentum=torch.zeros_like(z), best_sample=tilt.sample, best_reward=tilt.reward)

    def improved(self, tilt: TiltValue, scale: float) -> Self:
        """The state in which better samples of ``tilt`` replace the best samples so far."""
        assert tilt.sample is not None
        better = scale * (tilt.reward - self.best_reward) > 0
        return replace(
            self,
            best_sample=torch.where(columns(better, tilt.sample), tilt.sample, self.best_sample),
            best_reward=torch.where(better, tilt.reward, self.best_reward),
        )

    def climbed(self, z: Tensor, tilt: TiltValue, scale: float, iterations: int) -> tuple[Self, Info]:
        """The state one iteration later, at ``z (G, N, *D)``. After the last one each particle is its best sample."""
        step = self.step + 1
        if step == iterations:
            z, reward = self.best_sample, self.best_reward
            tilt = tilt._replace(reward=reward, value=scale * reward, sample=z)
        population = replace(self.population, x=z, tilt=tilt)
        return self.moved(step / iterations, population), Info.still(population)


@dataclass(frozen=True)
class Nesterov:
    """Ascent with Nesterov momentum and clipped gradients.

    Attributes:
        rate: the step size.
        momentum: in [0, 1].
        clip: the largest norm of a particle's gradient.
    """

    rate: float
    momentum: float
    clip: float

    def __post_init__(self) -> None:
        positive("mode.rate", self.rate)
        fraction("mode.momentum", self.momentum)
        positive("mode.clip", self.clip)

    def __call__(self, z: Tensor, momentum: Tensor, slope: Tensor) -> tuple[Tensor, Tensor]:
        """The next position and momentum; all ``(G, N, *D)``."""
        slope = slope * (self.clip / lengths(slope)).clamp_max(1.0)
        momentum = self.momentum * momentum + slope
        return z + self.rate * (slope + self.momentum * momentum), momentum
