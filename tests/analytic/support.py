"""Problems whose answers are known, one way to run the sampler on them, and the statistics of what it returns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from fmtt import modes
from fmtt.diagnostics import mean_and_error, weighted_mean
from fmtt.dynamics import Dynamics
from fmtt.flow import Velocity
from fmtt.look_ahead import Denoiser, Diffusion, Exact, FlowMapJumps, LookAhead, NoLookAhead
from fmtt.models.analytic import Gaussian, GaussianMixture, MixtureLaw
from fmtt.noise import Noise
from fmtt.particles import Population
from fmtt.rewards.plane import Linear, Quadratic
from fmtt.sampler import Sampler, State
from fmtt.schedules import Epsilon, Grid, LinearEpsilon, PowerGrid, PowerRamp, Ramp
from fmtt.tilt import Tilt

# Nothing is symmetric and no two coordinates are alike, so that no sign, swap or factor can hide.
GAUSSIAN = Gaussian((0.5, -0.3), (0.7, 1.2))
MIXTURE = GaussianMixture(((-1.5, 0.2), (1.0, 1.3), (0.6, -1.0)), (0.5, 0.7, 0.4), (0.5, 0.3, 0.2), steps=5)
MODELS = {"gaussian": GAUSSIAN, "mixture": MIXTURE}
REWARDS = {"linear": Linear((0.7, -0.5)), "quadratic": Quadratic((1.5, 0.2), (1.5, 0.4))}

LOOK_AHEADS: dict[str, Callable[[Velocity], LookAhead]] = {
    "none": NoLookAhead,
    "denoiser": Denoiser,
    "diffusion2": lambda model: Diffusion(model, 2),
    "flowmap1": lambda model: FlowMapJumps(model, 1),
    "flowmap4": lambda model: FlowMapJumps(model, 4),
    "exact": lambda model: Exact(model, 5),
}
TRANSPORTED = ("flowmap1", "flowmap4", "exact")


@dataclass(frozen=True)
class Setup:
    """A run by importance sampling; every field has a default, so that a test names only what it varies."""

    model: str = "gaussian"
    reward: str = "quadratic"
    look_ahead: str = "flowmap1"
    weights: str = "auto"
    epsilon: Epsilon = LinearEpsilon()
    ramp: Ramp = PowerRamp()
    grid: Grid = PowerGrid()
    steps: int = 64
    groups: int = 64
    particles: int = 64
    resampler: str = "systematic"
    ess_threshold: float = 0.5
    scale: float = 1.0
    chunk: int = 1_000_000
    seed: int = 0

    def sampler(self) -> Sampler:
        model = MODELS[self.model]
        look_ahead = LOOK_AHEADS[self.look_ahead](model)
        mode = modes.importance(look_ahead, self.epsilon, self.weights, self.resampler, self.ess_threshold)
        tilt = Tilt(look_ahead, REWARDS[self.reward], self.scale, self.ramp, self.chunk)
        dynamics = Dynamics(model, tilt, self.epsilon, mode.guidance, mode.weights)
        noise = Noise(self.seed, tuple(range(self.groups)))
        return Sampler(dynamics, mode.selection, self.grid.times(self.steps), self.particles, noise)

    def target(self) -> tuple[MixtureLaw, Tensor]:
        """The tilted law and its log Z in closed form."""
        precision, slope, constant = REWARDS[self.reward].quadratic_form(2)
        return MODELS[self.model].law.tilted(self.scale * precision, self.scale * slope, self.scale * constant)

    def but(self, **changes: object) -> Setup:
        return replace(self, **changes)


def last(sampler: Sampler) -> State:
    """The state at t = 1."""
    *_, state = sampler.run()
    return state


def z_scores(population: Population, law: MixtureLaw, log_z: Tensor) -> dict[str, float]:
    """Deviations from the closed form in standard errors over groups: Z, and first and second moments by coordinate.

    With Zhat the estimate of a group and m its weighted mean, ``Zhat / Z - 1`` and ``Zhat (m - truth)`` have mean zero
    for every number of particles, so that neither the logarithm nor the ratio adds a bias of its own.
    """
    z = (population.log_evidence - log_z).exp()
    statistics = {"Z": z - 1}
    for name, power, truth in (("mean", 1, law.mean), ("square", 2, law.second_moment)):
        deviation = z[:, None] * (weighted_mean(population.x.double() ** power, population.log_weights) - truth)
        statistics |= {f"{name} {d}": deviation[:, d] for d in range(deviation.shape[1])}
    return {name: mean / error for name, (mean, error) in ((k, mean_and_error(v)) for k, v in statistics.items())}


def worst(scores: dict[str, float]) -> float:
    """The largest deviation; what a correct sampler keeps below 4 and a mutant must not keep below 6."""
    return max(abs(score) for score in scores.values())
