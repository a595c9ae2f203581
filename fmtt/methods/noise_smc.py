"""Annealed sequential Monte Carlo in noise space: exact for the generator as it is, with all its errors.

The generator is ``X(z) = L_0(z)`` with z ~ N(0, I). Its law, tilted by ``exp(scale r)``, is the push-forward of the
tilted noise ``N(z; 0, I) exp(scale r(X(z)))``: there is no Jacobian, no score and no time step. The density of the
noise is known, so a Metropolis step corrects each move. A step of the loop is a *sweep*: raise the temperature,
resample, move.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

import torch
from torch import Tensor

from fmtt.checks import at_least, choice, fraction, positive, whole_number
from fmtt.flow.noise import Noise
from fmtt.methods.loop import Info, Loop, State
from fmtt.methods.method import NO_TRAJECTORY, drawn
from fmtt.methods.noise_moves import MOVES, MetropolisMove, Point, accept
from fmtt.methods.problem import Problem
from fmtt.smc.population import Population, effective_fraction, require_finite
from fmtt.smc.resampling import RESAMPLERS, Resampler, multinomial
from fmtt.smc.selection import resample
from fmtt.smc.tempering import largest
from fmtt.smc.totals import Totals
from fmtt.tilt.tilt import Tilt, TiltValue, require_generator

SHORTEST = 1e-3  # lower bound of the stride


@dataclass(frozen=True)
class AnnealedState(State):
    """A run after some sweeps. The population holds the noise z until the last sweep.

    Attributes:
        stride: size of the moves, ``(G,)``.
        acceptance: mean acceptance probability in the last sweep, ``(G,)``.
    """

    stride: Tensor
    acceptance: Tensor

    @property
    def numbers(self) -> dict[str, Tensor]:
        """The numbers that each sweep reports."""
        return {"stride": self.stride, "acceptance": self.acceptance, "temperature": self.temperature}


@dataclass(frozen=True)
class NoiseSmc:
    """Annealed SMC in noise space. The look-ahead at t = 0 is the generator; its tilted law is sampled.

    There is no error of a time step: the method is exact for the generator as it is. ``sampler.steps`` is the number of
    sweeps.

    Attributes:
        move: ``pcn`` (no gradient; usually the best at equal cost, see docs/frontier.md), ``pcnl`` (Langevin) or
            ``hmc`` (Hamiltonian with three leaps).
        moves: Metropolis moves in each sweep.
        ess_threshold: the temperature rises until the ESS is this share of N; then the group is resampled.
        resampler: ``systematic``, ``stratified``, ``residual``, ``multinomial`` or ``ssp``.
        temperatures: one for each sweep, rising to 1; by default they are adaptive.
        stride: stride of the first sweep, in (0, 1]: the share of new noise in a proposal.
        adapt: rate at which the logarithm of the stride follows the acceptance rate.

    Raises:
        ValueError: if a value is impossible.
    """

    move: str = "pcn"
    moves: int = 1
    ess_threshold: float = 0.5
    resampler: str = "systematic"
    temperatures: Sequence[float] = ()
    stride: float = 0.5
    adapt: float = 1.0

    def __post_init__(self) -> None:
        choice("mode.move", self.move, MOVES)
        whole_number("mode.moves", self.moves, 1)
        if fraction("mode.ess_threshold", self.ess_threshold) in (0, 1):
            raise ValueError(f"mode.ess_threshold={self.ess_threshold}: must lie between 0 and 1")
        choice("mode.resampler", self.resampler, RESAMPLERS)
        levels = tuple(fraction("mode.temperatures", level) for level in self.temperatures)
        if any(then <= now for now, then in pairwise((0.0, *levels))) or (levels and levels[-1] != 1):
            raise ValueError(f"mode.temperatures={list(levels)}: must rise from above 0 to 1")
        object.__setattr__(self, "temperatures", levels)
        if positive("mode.stride", self.stride) > 1:
            raise ValueError(f"mode.stride={self.stride}: must be at most 1")
        at_least("mode.adapt", self.adapt, 0)

    @cached_property
    def metropolis(self) -> MetropolisMove:
        return MOVES[self.move]()

    @property
    def scheme(self) -> Resampler:
        return RESAMPLERS[self.resampler]

    weighted, through_time = True, False
    block = min_particles = 1
    unused = NO_TRAJECTORY

    @property
    def multinomial(self) -> bool:
        return self.scheme is multinomial

    def loop(self, problem: Problem) -> NoiseAnnealing:
        return self.annealing(problem, sweeps=problem.steps, target=1.0, lands=True)

    def annealing(self, problem: Problem, sweeps: int, target: float, lands: bool) -> NoiseAnnealing:
        """The loop to ``N(0, I) exp(target scale r(X))`` in ``sweeps`` sweeps; see :class:`NoiseAnnealing`."""
        if self.temperatures and len(self.temperatures) != sweeps:
            raise ValueError(
                f"mode.temperatures: needs one for each of the {sweeps} sweeps, got {len(self.temperatures)}"
            )
        generator, shape = require_generator(problem.generator, "noise_smc"), problem.model.shape
        return NoiseAnnealing(generator, shape, sweeps, problem.particles, problem.noise, self, target, lands)

    def choose(self, population: Population, noise: Noise) -> Tensor:
        return drawn(population, noise)


@dataclass(frozen=True)
class NoiseAnnealing(Loop):
    """``sweeps`` sweeps from N(0, I) to ``N(0, I) exp(target scale r(X))``.

    In each sweep the temperature rises until the ESS is ``threshold`` N. It reaches the target in the last sweep at the
    latest; further sweeps only move the particles. The stride is adapted to the acceptance rate of the sweep before.
    Both adaptations use the population, which biases the estimate of Z by O(1/N). With given temperatures and
    ``adapt=0`` nothing is adapted, and the estimate of Z is unbiased.

    Attributes:
        tilt: the whole tilt, of ramp 1.
        shape: shape D of the noise.
        sweeps: K.
        particles: N.
        noise: the keyed noise.
        rule: moves, temperatures and resampling.
        target: the last temperature.
        lands: whether the last population holds the samples X(z) instead of z.
    """

    tilt: Tilt
    shape: tuple[int, ...]
    sweeps: int
    particles: int
    noise: Noise
    rule: NoiseSmc
    target: float = 1.0
    lands: bool = True

    state = AnnealedState

    @property
    def steps(self) -> int:
        return self.sweeps

    @property
    def uses_gradient(self) -> bool:
        return self.rule.metropolis.uses_gradient

    def evaluate(self, z: Tensor) -> TiltValue:
        return self.tilt.evaluate(z, 0.0, gradient=self.uses_gradient)

    def start(self) -> tuple[AnnealedState, Info]:
        z = self.noise.normal((self.particles, *self.shape), 0, "start")
        tilt = self.evaluate(z)
        require_finite({"the reward": tilt.reward}, 0, self.noise.groups)
        begun = State.start(Population.start(z, tilt))
        unknown = torch.full_like(begun.temperature, torch.nan)
        state = AnnealedState(
            **vars(replace(begun, temperature=torch.zeros_like(begun.temperature))),
            stride=torch.full_like(begun.temperature, self.rule.stride), acceptance=unknown,
        )  # fmt: skip
        info = Info.still(state.population)
        before = replace(Totals.start(info.ess), transport_gap=unknown, overshoot=unknown, ignored_gap=unknown)
        return state, replace(info, numbers=state.numbers, before=before)

    def next_temperature(self, state: AnnealedState) -> Tensor:
        """The temperature of the next sweep, ``(G,)``."""
        goal = torch.full_like(state.temperature, self.target)
        if state.step + 1 >= self.sweeps:
            return goal
        if self.rule.temperatures:
            return goal * self.rule.temperatures[state.step]
        weights, value = state.population.log_weights, state.population.tilt.value

        def loss(temperature: Tensor) -> Tensor:
            return -effective_fraction(weights + (temperature - state.temperature)[:, None] * value)

        return largest(loss, -self.rule.ess_threshold, state.temperature, goal)

    def step(self, state: State) -> tuple[AnnealedState, Info]:
        assert isinstance(state, AnnealedState)
        k, population, temperature = state.step, state.population, self.next_temperature(state)
        increment = (temperature - state.temperature)[:, None] * population.tilt.value
        require_finite({"the log-weight": increment}, k + 1, self.noise.groups)
        before = population.log_weights
        population = replace(population, log_weights=before + increment)
        weighed, ess = population, population.ess
        # an adaptive temperature below its target stopped at the threshold, up to the rounding of the bisection
        borne = (temperature >= self.target) | bool(self.rule.temperatures)
        selected = ((ess <= self.rule.ess_threshold) | ~borne) & (k + 1 < self.sweeps)
        population = resample(population, self.rule.scheme, selected, k + 1, self.noise)
        population, acceptance = self.moved(population, temperature, state.stride, k)
        if k + 1 == self.sweeps and self.lands:
            assert population.tilt.sample is not None
            population = replace(population, x=population.tilt.sample)
        stride = state.stride * (self.rule.adapt * (acceptance - self.rule.metropolis.target)).exp()
        later = replace(
            state.moved((k + 1) / self.sweeps, population),
            temperature=temperature, stride=stride.clamp(SHORTEST, 1.0), acceptance=acceptance,
        )  # fmt: skip
        return later, Info(weighed, selected, before, increment, numbers=later.numbers)

    def moved(
        self, population: Population, temperature: Tensor, stride: Tensor, sweep: int
    ) -> tuple[Population, Tensor]:
        """The population after the moves of a sweep, and their mean acceptance probability ``(G,)``."""
        here, chances = Point(population.x, population.tilt), []
        for number in range(sweep * self.rule.moves, (sweep + 1) * self.rule.moves):
            normal = self.noise.normal(population.x.shape[1:], number, "proposal").to(population.x.dtype)
            u = self.noise.uniform(population.x.shape[1:2], number, "acceptance")
            there, log_ratio = self.rule.metropolis.propose(here, temperature, stride, normal, self.evaluate)
            found = {"the reward": there.tilt.reward, "the logarithm of an acceptance ratio": log_ratio}
            require_finite(found, sweep + 1, self.noise.groups)
            here, chance = accept(here, there, log_ratio, u)
            chances.append(chance.mean(1))
        return replace(population, x=here.z, tilt=here.tilt), torch.stack(chances).mean(0)


@dataclass(frozen=True)
class AnnealedStart:
    """Starts a run through time from noise that ``sweeps`` sweeps have annealed to the tilt in force at t = 0.

    The run starts from ``N(0, I) exp(beta(0) scale r(L_0))``, where beta is the ramp. Its weights, log Z and ancestors
    continue those of the annealing. The other arguments are as in :func:`noise_smc`. The base model that a run is
    compared with starts from plain N(0, I).
    """

    sweeps: int = 8
    move: str = "pcn"
    moves: int = 1
    ess_threshold: float = 0.5
    stride: float = 0.5

    def __post_init__(self) -> None:
        whole_number("sampler.start.sweeps", self.sweeps, 1)

    def __call__(self, problem: Problem) -> Problem:
        target = problem.tilt.ramp(0.0)
        if target == 0:
            raise ValueError("sampler.start=annealed: no tilt is in force at t = 0; use sampler/beta=from")
        smc = NoiseSmc(self.move, self.moves, self.ess_threshold, stride=self.stride)
        return replace(problem, opening=smc.annealing(problem, self.sweeps, target, lands=False))


noise_smc = NoiseSmc  # by its word on the command line
