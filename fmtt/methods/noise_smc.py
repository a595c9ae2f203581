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
from fmtt.methods.method import NO_TRAJECTORY
from fmtt.methods.noise_moves import MOVES, Law, MetropolisMove
from fmtt.methods.noise_pilot import planned, scout_of
from fmtt.methods.noise_plan import rejuvenation
from fmtt.methods.noise_reference import REFERENCES
from fmtt.methods.problem import Problem
from fmtt.methods.rejuvenation import Moving, Rejuvenated, Rejuvenation
from fmtt.methods.role import SAMPLE
from fmtt.smc.population import Population, effective_fraction, require_finite
from fmtt.smc.resampling import RESAMPLERS, Resampler, multinomial
from fmtt.smc.tempering import largest
from fmtt.smc.totals import Totals
from fmtt.tilt.tilt import Tilt, TiltValue, differentiable, require_generator

AUTO = "auto"


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

    There is no error of a time step: the method is exact for the generator as it is. A run costs at most what
    ``sampler.steps`` sweeps of ``population.particles`` cost. By default a pilot measures how far the tilted noise is
    from the noise, and says what to make of it (:mod:`fmtt.methods.noise_plan`).

    Attributes:
        move: ``auto`` (``pcnl`` where the reward has a gradient, else ``pcn``), ``pcn`` (no gradient), ``pcnl``
            (Langevin) or ``hmc`` (Hamiltonian with three leaps).
        moves: Metropolis moves in each sweep, where no states of chains are kept.
        chain: how many states of each chain are kept (:class:`fmtt.methods.rejuvenation.KeepChains`); 1 for none; None:
            by the pilot.
        ess_threshold: the temperature rises until the ESS is this share of N; then resampling. None: by the pilot.
        resampler: ``systematic``, ``stratified``, ``residual``, ``multinomial`` or ``ssp``.
        temperatures: one for each sweep, rising to 1; by default they are adaptive.
        pilot: particles of the pilot; 0: none; None: as many as are worth their cost.
        reference: the Gaussian that moves propose from: ``fitted`` to the particles where they are clearly narrower
            than the noise, or ``prior``, the noise (:mod:`fmtt.methods.noise_reference`).
        stride: stride of the first sweep, in (0, 1]: the share of new noise in a proposal.
        adapt: rate at which the logarithm of the stride follows the acceptance rate.

    Raises:
        ValueError: if a value is impossible.
    """

    move: str = AUTO
    moves: int = 1
    chain: int | None = None
    ess_threshold: float | None = None
    resampler: str = "systematic"
    temperatures: Sequence[float] = ()
    pilot: int | None = None
    reference: str = "fitted"
    stride: float = 1.0
    adapt: float = 1.0

    def __post_init__(self) -> None:
        choice("mode.move", self.move, [AUTO, *MOVES])
        if whole_number("mode.moves", self.moves, 1) > 1 and self.chain is None:
            object.__setattr__(self, "chain", 1)
        if self.chain is not None and whole_number("mode.chain", self.chain, 1) > 1 and self.moves != 1:
            raise ValueError(f"mode.moves={self.moves}: must be 1 with mode.chain={self.chain}, which keeps every move")
        if self.ess_threshold is not None and fraction("mode.ess_threshold", self.ess_threshold) in (0, 1):
            raise ValueError(f"mode.ess_threshold={self.ess_threshold}: must lie between 0 and 1")
        choice("mode.resampler", self.resampler, RESAMPLERS)
        choice("mode.reference", self.reference, REFERENCES)
        levels = tuple(fraction("mode.temperatures", level) for level in self.temperatures)
        if any(then <= now for now, then in pairwise((0.0, *levels))) or (levels and levels[-1] != 1):
            raise ValueError(f"mode.temperatures={list(levels)}: must rise from above 0 to 1")
        object.__setattr__(self, "temperatures", levels)
        if positive("mode.stride", self.stride) > 1:
            raise ValueError(f"mode.stride={self.stride}: must be at most 1")
        at_least("mode.adapt", self.adapt, 0)
        if self.pilot is not None and whole_number("mode.pilot", self.pilot, 0) and levels:
            raise ValueError(f"mode.pilot={self.pilot}: has no use if mode.temperatures are given")
        if (self.pilot or 0) % self.block:
            raise ValueError(f"mode.pilot={self.pilot}: must be a multiple of mode.chain={self.chain}")

    @cached_property
    def rejuvenation(self) -> Rejuvenation:
        """The moves of a sweep, where no pilot says otherwise."""
        return rejuvenation(self.block, self.moves)

    @property
    def threshold(self) -> float:
        """The ESS down to which a temperature rises, where no pilot says otherwise."""
        return 0.5 if self.ess_threshold is None else self.ess_threshold

    @cached_property
    def metropolis(self) -> MetropolisMove:
        return MOVES[self.move]

    @property
    def scheme(self) -> Resampler:
        return RESAMPLERS[self.resampler]

    role, weighted, through_time, forgets = SAMPLE, True, False, True
    unused, unused_without_gradient = NO_TRAJECTORY, frozenset[str]()

    @property
    def plans_length(self) -> bool:
        return self.pilot != 0 and not self.temperatures

    @property
    def block(self) -> int:
        return self.chain or 1

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
        generator, shape, rule = require_generator(problem.generator, "noise_smc"), problem.model.shape, self
        if self.move == AUTO:
            one = torch.zeros(1, 1, *shape, device=problem.noise.device, dtype=problem.noise.dtype)
            rule = replace(self, move="pcnl" if differentiable(problem.tilt, one) else "pcn")
        levels = torch.tensor(rule.temperatures, dtype=torch.float64, device=problem.noise.device)
        given = levels.expand(problem.tilt.batches.prompts, -1) if rule.temperatures else None
        return NoiseAnnealing(
            generator, shape, sweeps, problem.particles, problem.noise, rule, target, lands, problem.gradient_cost,
            given, problem.budgeted,
        )  # fmt: skip


@dataclass(frozen=True)
class NoiseAnnealing(Loop):
    """``sweeps`` sweeps from N(0, I) to ``N(0, I) exp(target scale r(X))``.

    Without ``levels`` the temperature rises in each sweep until the ESS is ``threshold`` N. It reaches the target in
    the last sweep at the latest; further sweeps only move the particles. The stride follows the acceptance rate of the
    move before, and the reference the particles. What adapts uses the population, which biases the estimate of Z by
    O(1/N). With levels, ``adapt=0`` and ``reference=prior`` nothing adapts, and the estimate of Z is unbiased.

    Attributes:
        tilt: the whole tilt, of ramp 1.
        shape: shape D of the noise.
        sweeps: K.
        particles: N.
        noise: the keyed noise.
        rule: moves, temperatures and resampling.
        target: the last temperature.
        lands: whether the last population holds the samples X(z) instead of z.
        gradient_cost: what an evaluation of the tilt with its gradient costs, in evaluations without.
        levels: temperatures of each prompt and sweep, as shares of the target, ``(P, K)``; None: they adapt.
        budgeted: whether a pilot may choose more particles, if fewer sweeps make them as cheap.
    """

    tilt: Tilt
    shape: tuple[int, ...]
    sweeps: int
    particles: int
    noise: Noise
    rule: NoiseSmc
    target: float = 1.0
    lands: bool = True
    gradient_cost: float = 3.0
    levels: Tensor | None = None
    budgeted: bool = False

    state = AnnealedState

    @property
    def steps(self) -> int:
        return self.sweeps

    @property
    def evaluations(self) -> int:
        """Evaluations of the tilt by all groups."""
        cost = self.rule.rejuvenation.evaluations(self.sweeps, self.particles, self.rule.metropolis.leaps)
        return cost * len(self.noise.groups)

    @property
    def uses_gradient(self) -> bool:
        return self.rule.metropolis.uses_gradient and self.rule.rejuvenation.moves_in(self.sweeps)

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
        if self.levels is not None:
            prompt = self.tilt.batches.prompt
            return goal * (self.levels[0] if prompt is None else self.levels[prompt].T)[state.step]
        weights, value = state.population.log_weights, state.population.tilt.value

        def loss(temperature: Tensor) -> Tensor:
            return -effective_fraction(weights + (temperature - state.temperature)[:, None] * value)

        return largest(loss, -self.rule.threshold, state.temperature, goal)

    def step(self, state: State) -> tuple[AnnealedState, Info]:
        assert isinstance(state, AnnealedState)
        k, population, temperature = state.step, state.population, self.next_temperature(state)
        increment = (temperature - state.temperature)[:, None] * population.tilt.value
        require_finite({"the log-weight": increment}, k + 1, self.noise.groups)
        before = population.log_weights
        population = replace(population, log_weights=before + increment)
        weighed, ess = population, population.ess
        # an adaptive temperature below its target stopped at the threshold, up to the rounding of the bisection
        borne = (temperature >= self.target) | (self.levels is not None)
        wanted = ((ess <= self.rule.threshold) | ~borne) & (k + 1 < self.sweeps)
        law = Law(temperature, REFERENCES[self.rule.reference](population))
        moving = Moving(
            self.rule.metropolis, self.rule.scheme, self.evaluate, self.noise, law, state.stride, self.rule.adapt, k,
            wanted, last=k + 1 == self.sweeps,
        )  # fmt: skip
        population, acceptance, stride, selected = self.rejuvenated(population, moving)
        if k + 1 == self.sweeps and self.lands:
            assert population.tilt.sample is not None
            population = replace(population, x=population.tilt.sample)
        later = replace(
            state.moved((k + 1) / self.sweeps, population),
            temperature=temperature, stride=stride, acceptance=acceptance,
        )  # fmt: skip
        return later, Info(weighed, selected, before, increment, numbers=later.numbers)

    def check_pilot(self) -> None:
        if self.rule.pilot and not scout_of(self):
            raise ValueError(f"mode.pilot={self.rule.pilot}: costs more than half of this run")

    def tuned(self) -> NoiseAnnealing:
        """The run that suits the length that a pilot measures; the run itself, if it is too small for a pilot."""
        self.check_pilot()
        return planned(self)

    def rejuvenated(self, population: Population, moving: Moving) -> Rejuvenated:
        """The population after the selection and the moves of a sweep."""
        return self.rule.rejuvenation(population, moving)


noise_smc = NoiseSmc  # by its word on the command line
