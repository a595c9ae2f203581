"""Problems whose answers are known, one way to run the sampler on them, and the statistics of what it returns."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

from torch import Tensor

from fmtt.flow.batches import Batches
from fmtt.flow.noise import Noise
from fmtt.flow.protocols import Velocity
from fmtt.flow.schedules import Chi, Epsilon, Grid, PowerEpsilon, PowerGrid, PowerRamp, Ramp, ZeroChi
from fmtt.methods import presets as modes
from fmtt.methods.loop import Loop, State, totals
from fmtt.methods.problem import Problem
from fmtt.methods.trajectory import Trajectory
from fmtt.models.analytic import Gaussian, GaussianMixture
from fmtt.rewards.plane import Linear, Quadratic
from fmtt.smc.diagnostics import mean_and_error, weighted_mean
from fmtt.smc.population import Population
from fmtt.smc.totals import Totals
from fmtt.step.damping import Damping, NoDamping
from fmtt.step.transport import Euler, Transport
from fmtt.tilt.look_ahead import Denoiser, Exact, FlowMapJumps, LookAhead, NoLookAhead, OdeSteps
from fmtt.tilt.tilt import Tilt

# Nothing is symmetric and no two coordinates are alike, so that no sign, swap or factor can hide.
GAUSSIAN = Gaussian((0.5, -0.3), (0.7, 1.2))
MIXTURE_ARGUMENTS = (((-1.5, 0.2), (1.0, 1.3), (0.6, -1.0)), (0.5, 0.7, 0.4), (0.5, 0.3, 0.2))
MIXTURE = GaussianMixture(*MIXTURE_ARGUMENTS, steps=4)
MODELS: dict[str, Velocity] = {
    "gaussian": GAUSSIAN,
    "mixture": MIXTURE,
    "mixture with a fine map": GaussianMixture(*MIXTURE_ARGUMENTS, steps=8),
}
REWARDS = {"linear": Linear((0.7, -0.5)), "quadratic": Quadratic((1.5, 0.2), (1.5, 0.4))}

LOOK_AHEADS: dict[str, Callable[[Velocity], LookAhead]] = {
    "none": NoLookAhead,
    "denoiser": Denoiser,
    "diffusion2": lambda model: OdeSteps(model, 2),
    "flowmap1": lambda model: FlowMapJumps(model, 1),
    "flowmap4": lambda model: FlowMapJumps(model, 4),
    "exact": lambda model: Exact(model, 4),
}
TRANSPORTED = ("flowmap1", "flowmap4", "exact")


class Truth(NamedTuple):
    """What a run must find: mean and second moment by coordinate, ``(d,)``, and log Z; float64."""

    mean: Tensor
    second_moment: Tensor
    log_z: Tensor


@dataclass(frozen=True)
class Setup:
    """A run by importance sampling; every field has a default, so that a test names only what it varies."""

    model: str = "gaussian"
    reward: str = "quadratic"
    look_ahead: str = "flowmap1"
    weights: str = "auto"
    epsilon: Epsilon = PowerEpsilon()
    ramp: Ramp = PowerRamp()
    chi: Chi = ZeroChi()
    damping: Damping = NoDamping()
    transport: Callable[[Velocity], Transport] = Euler
    grid: Grid = PowerGrid()
    steps: int = 12
    groups: int = 128
    particles: int = 128
    resampler: str = "systematic"
    ess_threshold: float = 0.8
    scale: float = 1.0
    chunk: int = 1_000_000
    seed: int = 0

    def but(self, **changes: object) -> Setup:
        return replace(self, **changes)

    @property
    def times(self) -> tuple[float, ...]:
        return self.grid.times(self.steps)

    @property
    def problem(self) -> Problem:
        model, noise = MODELS[self.model], Noise(self.seed, tuple(range(self.groups)))
        reward, batches = REWARDS[self.reward], Batches(self.chunk)
        tilt = Tilt(model, LOOK_AHEADS[self.look_ahead], reward, self.scale, self.ramp, batches)
        schedules = (self.epsilon, self.chi, self.damping)
        return Problem(model, tilt, *schedules, self.transport, 8, self.times, self.particles, noise)

    def loop(self) -> Trajectory:
        return modes.importance(self.weights, self.resampler, self.ess_threshold).loop(self.problem)

    def truth(self) -> Truth:
        """The closed form of the tilted law, which the sampler reaches as the steps get short."""
        precision, slope, constant = REWARDS[self.reward].quadratic_form(2)
        form = (self.scale * precision, self.scale * slope, self.scale * constant)
        law, log_z = MODELS[self.model].law.tilted(*form)
        return Truth(law.mean, law.second_moment, log_z)


def last(loop: Loop) -> State:
    """The state at t = 1."""
    return loop.last()


def ended(loop: Loop) -> tuple[State, Totals]:
    """The state at t = 1, and the diagnostics of the whole run."""
    summed = None
    for reached, info in loop.run():
        state, summed = reached, totals(info, summed)
    assert summed is not None
    return state, summed


def deviations(population: Population, truth: Truth) -> dict[str, Tensor]:
    """Deviations from the truth in every group, ``(G,)``: Z, and first and second moments by coordinate.

    With Zhat the estimate of a group and m its weighted mean, ``Zhat / Z - 1`` and ``Zhat (m - truth)`` have mean zero
    for every number of particles, so that neither a logarithm nor a ratio adds a bias of its own.
    """
    z = (population.log_evidence - truth.log_z).exp()
    x = population.x.double()
    statistics = {"Z": z - 1}
    for name, values, true in (("mean", x, truth.mean), ("square", x**2, truth.second_moment)):
        deviation = z[:, None] * (weighted_mean(values, population.log_weights) - true)
        statistics |= {f"{name} {d}": deviation[:, d] for d in range(len(true))}
    return statistics


def z_scores(population: Population, truth: Truth) -> dict[str, float]:
    """Deviations from the truth in standard errors over groups."""
    return {name: standardised(values) for name, values in deviations(population, truth).items()}


def standardised(values: Tensor) -> float:
    """Mean over groups ``(G,)`` in standard errors; zero, or infinite, where the groups do not differ."""
    mean, error = mean_and_error(values)
    return mean / error if error else math.copysign(math.inf, mean) if mean else 0.0


def worst(population: Population, truth: Truth) -> float:
    """The largest deviation in standard errors: below 4 for a correct sampler, above 6 for one that is not."""
    return max(abs(score) for score in z_scores(population, truth).values())
