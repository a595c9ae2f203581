"""Random problems with known answers: a model, a reward, and one way through the sampler.

A problem is a function of its number. Mixtures of 1 to 6 asymmetric components in 1 to 16 dimensions, a linear or a
quadratic reward of random strength, and a random look-ahead, weights, resampler, threshold, epsilon and ramp.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

import fmtt
from fmtt.api import Run
from fmtt.flow import noise
from fmtt.flow.protocols import Velocity
from fmtt.flow.schedules import (
    ConstantEpsilon,
    EarlyRamp,
    Epsilon,
    PowerEpsilon,
    PowerRamp,
    Ramp,
    RegularisedEpsilon,
    ZeroEpsilon,
)
from fmtt.methods import presets as modes
from fmtt.methods.trajectory import Trajectory
from fmtt.models.analytic import GaussianMixture
from fmtt.rewards import Linear, Quadratic
from fmtt.smc.diagnostics import weighted_mean
from fmtt.smc.resampling import RESAMPLERS
from fmtt.step.transport import Euler, FlowMapTransport, Transport
from fmtt.tilt.look_ahead import Denoiser, Exact, FlowMapJumps, LookAhead, NoLookAhead, OdeSteps

GROUPS, PARTICLES = 64, 16
# Euler steps of the base ODE shrink the second moment: at 100 steps by a third of a standard error of one problem,
# which 244 problems see (-5.5 standard errors); transport by the flow map at 100 steps does not (-0.7).
STEPS = {"euler": 400, "flowmap": 100}
LOOK_AHEADS: dict[str, Callable[[Velocity], LookAhead]] = {
    "none": NoLookAhead,
    "denoiser": Denoiser,
    "diffusion4": partial(OdeSteps, steps=4),
    "flowmap1": partial(FlowMapJumps, steps=1),
    "flowmap2": partial(FlowMapJumps, steps=2),
    "exact": partial(Exact, steps=4),
}
WEIGHTS = {"none": 2, "denoiser": 2, "diffusion4": 2, "flowmap1": 3, "flowmap2": 3, "exact": 3}
EPSILONS: tuple[Epsilon, ...] = (PowerEpsilon(), PowerEpsilon(0.3), ConstantEpsilon(0.2), RegularisedEpsilon(1.0))
TRANSPORTS: dict[str, Callable[[Velocity], Transport]] = {"euler": Euler, "flowmap": FlowMapTransport}
RAMPS: tuple[Ramp, ...] = (PowerRamp(), PowerRamp(2.0), EarlyRamp(0.6))


@dataclass(frozen=True)
class Problem:
    """One of many, with the names by which results are grouped."""

    number: int
    model: GaussianMixture
    reward: Linear | Quadratic
    look_ahead: str
    weights: str
    resampler: str
    threshold: float
    epsilon: Epsilon
    ramp: Ramp
    transport: str

    def run(self, steps: int | None = None) -> Run:
        steps = steps or STEPS[self.transport]
        mode = partial(modes.importance, weights=self.weights, resampler=self.resampler, ess_threshold=self.threshold)
        return fmtt.assemble(
            self.model, self.reward, look_ahead=LOOK_AHEADS[self.look_ahead], mode=mode, steps=steps,
            epsilon=self.epsilon, beta=self.ramp, transport=TRANSPORTS[self.transport], groups=GROUPS,
            particles=PARTICLES, chunk=GROUPS * PARTICLES, seed=self.number,
        )  # fmt: skip


def problem(number: int) -> Problem:
    draw = noise.generator("random problem", number)
    dimension, components = int(draw.integers(1, 17)), int(draw.integers(1, 7))
    means = draw.normal(0, 1.0, (components, dimension)).tolist()
    stds, shares = draw.uniform(0.4, 1.2, components).tolist(), draw.uniform(0.2, 1.0, components).tolist()
    model = GaussianMixture(means, stds, shares, steps=6)
    strength = draw.uniform(0.2, 1.0)
    if draw.random() < 0.5:
        slope = draw.normal(0, 1.0, dimension)
        reward: Linear | Quadratic = Linear((strength * slope / (slope @ slope) ** 0.5).tolist())
    else:
        center, precision = draw.normal(0, 1, dimension), draw.uniform(0.2, 1.0, dimension)
        reward = Quadratic(center.tolist(), (2 * strength * precision / precision.sum()).tolist())
    look_ahead = draw.choice(list(LOOK_AHEADS))
    weights = ("kernel", "material", "jarzynski")[int(draw.integers(WEIGHTS[look_ahead]))]
    epsilon = ZeroEpsilon() if weights != "kernel" and draw.random() < 0.15 else EPSILONS[int(draw.integers(4))]
    resampler, threshold = str(draw.choice(list(RESAMPLERS))), float(draw.choice([0.0, 0.5, 0.9]))
    ramp = RAMPS[int(draw.integers(3))]
    transport = str(draw.choice(list(TRANSPORTS)))
    return Problem(number, model, reward, str(look_ahead), weights, resampler, threshold, epsilon, ramp, transport)


class Score(NamedTuple):
    """Deviations from the truth in standard errors over groups, and what the run was."""

    number: int
    look_ahead: str
    weights: str
    resampler: str
    transport: str
    z: float
    mean: float
    square: float
    relative_variance: float
    evaluations: float


def score(
    of: Problem, mutate: Callable[[Trajectory], Trajectory] = lambda loop: loop, steps: int | None = None
) -> Score:
    """Run a problem; with Zhat the estimate of a group, ``Zhat``, ``Zhat m`` and ``Zhat q`` have known means.

    m and q are the weighted means of the coordinate along a random direction and of its square.
    """
    run = of.run(steps)
    population = mutate(run.loop).last().population
    dimension = of.model.shape[0]
    law, log_z = of.model.law.tilted(*of.reward.quadratic_form(dimension))
    ratio = (population.log_evidence - log_z).exp()
    along = noise.normal((dimension,), of.number, "direction").double()
    along = along / along.norm()
    shares, centres = law.log_weights.exp(), law.means @ along
    truth = shares @ centres
    second = shares @ (centres**2 + (law.stds * along).square().sum(1))
    x = population.x.double() @ along
    deviations = [ratio - 1]
    for values, expected in ((x, truth), (x**2, second)):
        deviations.append(ratio * (weighted_mean(values, population.log_weights) - expected))
    z, mean, square = (float(d.mean() / (d.std() / len(d) ** 0.5)) for d in deviations)
    taken = len(run.loop.times) - 1
    evaluations = (run.meter.forward + 2 * run.meter.backward) / (GROUPS * PARTICLES * taken)
    spread = float(ratio.var() / ratio.mean() ** 2)
    return Score(of.number, of.look_ahead, of.weights, of.resampler, of.transport, z, mean, square, spread, evaluations)


def normal_distance(scores: Tensor) -> float:
    """Kolmogorov-Smirnov statistic times sqrt(n) of ``scores (n,)`` against the standard normal law.

    Its law is nearly that of Kolmogorov: above 1.63 with probability .01, above 1.95 with .001.
    """
    n = len(scores)
    cdf = torch.special.ndtr(scores.double().sort().values)
    rank = torch.arange(n + 1, dtype=torch.float64) / n
    return float(torch.maximum((rank[1:] - cdf).max(), (cdf - rank[:-1]).max()) * n**0.5)
