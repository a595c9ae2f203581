"""Annealed sequential Monte Carlo in noise space: exact for the generator as it is, with all its errors.

The generator is ``X(z) = L_0(z)`` with z ~ N(0, I). Its law, tilted by ``exp(scale r)``, is the push-forward of the
tilted noise ``N(z; 0, I) exp(scale r(X(z)))``: there is no Jacobian, no score and no time step. The density of the
noise is known, so a Metropolis step corrects each move. A step of the loop is a *sweep*: raise the temperature,
resample, move.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise

import torch
from torch import Tensor

from fmtt.checks import at_least, choice, fraction, positive, whole_number
from fmtt.flow.noise import Noise
from fmtt.methods.loop import Info, Loop, State
from fmtt.methods.method import NO_TRAJECTORY
from fmtt.methods.noise_moves import MOVES, MetropolisMove
from fmtt.methods.pilots import PILOT
from fmtt.methods.problem import Problem
from fmtt.methods.rejuvenation import KeepChains, MoveAll, Moving, Rejuvenated, Rejuvenation
from fmtt.methods.role import SAMPLE
from fmtt.smc.population import Population, effective_fraction, require_finite
from fmtt.smc.resampling import RESAMPLERS, Resampler, multinomial
from fmtt.smc.tempering import largest
from fmtt.smc.totals import Totals
from fmtt.tilt.tilt import Tilt, TiltValue, require_generator

SHORTEST = 1e-3  # lower bound of the stride
LONGEST = 64  # sweeps of a pilot


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
        chain: 1, or how many states of each chain are kept (:class:`fmtt.methods.rejuvenation.KeepChains`).
        ess_threshold: the temperature rises until the ESS is this share of N; then the group is resampled.
        resampler: ``systematic``, ``stratified``, ``residual``, ``multinomial`` or ``ssp``.
        temperatures: one for each sweep, rising to 1; by default they are adaptive.
        pilot: particles of a pilot run that says how many sweeps are needed; the particles are then as many as cost
            what ``sampler.steps`` sweeps of ``population.particles`` would. 0: no pilot.
        stride: stride of the first sweep, in (0, 1]: the share of new noise in a proposal.
        adapt: rate at which the logarithm of the stride follows the acceptance rate.

    Raises:
        ValueError: if a value is impossible.
    """

    move: str = "pcn"
    moves: int = 1
    chain: int = 1
    ess_threshold: float = 0.5
    resampler: str = "systematic"
    temperatures: Sequence[float] = ()
    pilot: int = 0
    stride: float = 0.5
    adapt: float = 1.0
    rejuvenation: Rejuvenation = field(init=False, repr=False)

    def __post_init__(self) -> None:
        choice("mode.move", self.move, MOVES)
        if whole_number("mode.chain", self.chain, 1) > 1 and self.moves != 1:
            raise ValueError(f"mode.moves={self.moves}: must be 1 with mode.chain={self.chain}, which keeps every move")
        object.__setattr__(self, "rejuvenation", MoveAll(self.moves) if self.chain == 1 else KeepChains(self.chain))
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
        if whole_number("mode.pilot", self.pilot, 0) and levels:
            raise ValueError(f"mode.pilot={self.pilot}: has no use if mode.temperatures are given")
        if self.pilot % self.block:
            raise ValueError(f"mode.pilot={self.pilot}: must be a multiple of mode.chain={self.chain}")

    @cached_property
    def metropolis(self) -> MetropolisMove:
        return MOVES[self.move]()

    @property
    def scheme(self) -> Resampler:
        return RESAMPLERS[self.resampler]

    role, weighted, through_time = SAMPLE, True, False
    unused = NO_TRAJECTORY

    @property
    def block(self) -> int:
        return self.rejuvenation.block

    @property
    def min_particles(self) -> int:
        return self.block

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
        if problem.particles % self.block:
            raise ValueError(f"population.particles={problem.particles}: must be a multiple of mode.chain={self.chain}")
        generator, shape = require_generator(problem.generator, "noise_smc"), problem.model.shape
        return NoiseAnnealing(generator, shape, sweeps, problem.particles, problem.noise, self, target, lands)


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
        wanted = ((ess <= self.rule.ess_threshold) | ~borne) & (k + 1 < self.sweeps)
        moving = Moving(
            self.rule.metropolis, self.rule.scheme, self.evaluate, self.noise, temperature, state.stride, k, wanted,
            last=k + 1 == self.sweeps,
        )  # fmt: skip
        population, acceptance, selected = self.rejuvenated(population, moving)
        if k + 1 == self.sweeps and self.lands:
            assert population.tilt.sample is not None
            population = replace(population, x=population.tilt.sample)
        stride = state.stride * (self.rule.adapt * (acceptance - self.rule.metropolis.target)).exp()
        later = replace(
            state.moved((k + 1) / self.sweeps, population),
            temperature=temperature, stride=stride.clamp(SHORTEST, 1.0), acceptance=acceptance,
        )  # fmt: skip
        return later, Info(weighed, selected, before, increment, numbers=later.numbers)

    @property
    def longest_pilot(self) -> int:
        """The sweeps of a pilot, at most; it may cost half of the run."""
        cost, prompts = self.rule.rejuvenation.evaluations, self.tilt.batches.prompts
        most = cost(self.sweeps, self.particles) * len(self.noise.groups) / 2
        # the last sweep of the pilot moves, too
        return max((k for k in range(LONGEST + 1) if cost(k + 1, self.rule.pilot) * prompts <= most), default=0)

    def check_pilot(self) -> None:
        if self.rule.pilot and not self.longest_pilot:
            raise ValueError(f"mode.pilot={self.rule.pilot}: costs more than half of this run")

    def tuned(self) -> NoiseAnnealing:
        """As many sweeps as a pilot needs, which has one group for each prompt; the rest is spent on particles."""
        self.check_pilot()
        if not self.rule.pilot:
            return self
        batches, all_groups = self.tilt.batches, len(self.noise.groups)
        prompt = None if batches.prompt is None else torch.arange(batches.prompts, device=batches.prompt.device)
        scout = replace(
            self, sweeps=self.longest_pilot, particles=self.rule.pilot, lands=False, rule=replace(self.rule, pilot=0),
            tilt=replace(self.tilt, batches=replace(batches, prompt=prompt)),
            noise=replace(self.noise, groups=tuple(PILOT - number for number in range(batches.prompts))),
        )  # fmt: skip
        sweeps = next(state.step for state, _ in scout.run() if bool((state.temperature >= self.target).all()))
        cost, block = self.rule.rejuvenation.evaluations, self.rule.block
        left = cost(self.sweeps, self.particles) * all_groups - cost(sweeps + 1, self.rule.pilot) * batches.prompts
        blocks = left // (cost(sweeps, block) * all_groups)
        return replace(self, sweeps=sweeps, particles=max(blocks, 1) * block, rule=scout.rule)

    def rejuvenated(self, population: Population, moving: Moving) -> Rejuvenated:
        """The population after the selection and the moves of a sweep."""
        return self.rule.rejuvenation(population, moving)


noise_smc = NoiseSmc  # by its word on the command line
