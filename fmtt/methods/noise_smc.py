"""Annealed sequential Monte Carlo in the space of the noise: exact for the model as it runs.

The law of the generator ``X(z) = L_0(z)``, z ~ N(0, I), tilted by ``exp(scale r)`` is the push-forward of the tilted
noise ``N(z; 0, I) exp(scale r(X(z)))``: there is no Jacobian, no score and no time step. The density of the noise is
known, so that moves can be corrected by Metropolis. A step is a *sweep*: temperature, resample, move.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

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

SHORTEST = 1e-3  # stride


@dataclass(frozen=True)
class AnnealedState(State):
    """A run after some sweeps; the population holds the noise z until the last of them.

    Attributes:
        stride: size of the moves, ``(G,)``.
        acceptance: mean acceptance probability in the last sweep, ``(G,)``.
    """

    stride: Tensor
    acceptance: Tensor

    @property
    def numbers(self) -> dict[str, Tensor]:
        """What is reported of each sweep."""
        return {"stride": self.stride, "acceptance": self.acceptance, "temperature": self.temperature}


@dataclass(frozen=True)
class NoiseSmc:
    """The settings.

    Attributes:
        move: the Metropolis move.
        moves: how many of them in each sweep.
        threshold: resample where the effective sample size has fallen to this share.
        resampler: how.
        temperatures: one for each sweep, or nothing: adaptive.
        stride: of the first sweep.
        adapt: rate of the strides.
    """

    move: MetropolisMove
    moves: int
    threshold: float
    resampler: Resampler
    temperatures: tuple[float, ...]
    stride: float
    adapt: float

    weighted = True
    block = 1
    unused = NO_TRAJECTORY

    @property
    def multinomial(self) -> bool:
        return self.resampler is multinomial

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

    Temperatures rise as far as an effective sample size of ``threshold`` allows, and to the target in the last sweep at
    the latest; sweeps that are left over are moves at the target. The strides follow the acceptance rate of the sweep
    before. Both adapt to the population, which biases Z by an order of 1/N at most; given temperatures and ``adapt=0``
    nothing does, and the estimate of Z is unbiased.

    Attributes:
        tilt: the whole tilt, of ramp 1.
        shape: shape D of the noise.
        sweeps: K.
        particles: N.
        noise: the keyed noise.
        rule: moves, temperatures and resampling.
        target: the last temperature.
        lands: whether the samples X(z) are returned in the place of z.
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

    def evaluate(self, z: Tensor) -> TiltValue:
        return self.tilt.evaluate(z, 0.0, gradient=self.rule.move.uses_gradient)

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

        return largest(loss, -self.rule.threshold, state.temperature, goal)

    def step(self, state: State) -> tuple[AnnealedState, Info]:
        assert isinstance(state, AnnealedState)
        k, population, temperature = state.step, state.population, self.next_temperature(state)
        increment = (temperature - state.temperature)[:, None] * population.tilt.value
        require_finite({"the log-weight": increment}, k + 1, self.noise.groups)
        before = population.log_weights
        population = replace(population, log_weights=before + increment)
        weighed, ess = population, population.ess
        # below its target an adaptive temperature has stopped at the threshold, up to the rounding of the bisection
        borne = (temperature >= self.target) | bool(self.rule.temperatures)
        selected = ((ess <= self.rule.threshold) | ~borne) & (k + 1 < self.sweeps)
        population = resample(population, self.rule.resampler, selected, k + 1, self.noise)
        population, acceptance = self.moved(population, temperature, state.stride, k)
        if k + 1 == self.sweeps and self.lands:
            assert population.tilt.sample is not None
            population = replace(population, x=population.tilt.sample)
        stride = state.stride * (self.rule.adapt * (acceptance - self.rule.move.target)).exp()
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
            there, log_ratio = self.rule.move.propose(here, temperature, stride, normal, self.evaluate)
            found = {"the reward": there.tilt.reward, "the logarithm of an acceptance ratio": log_ratio}
            require_finite(found, sweep + 1, self.noise.groups)
            here, chance = accept(here, there, log_ratio, u)
            chances.append(chance.mean(1))
        return replace(population, x=here.z, tilt=here.tilt), torch.stack(chances).mean(0)


def noise_smc(
    move: str = "pcn",
    moves: int = 1,
    ess_threshold: float = 0.5,
    resampler: str = "systematic",
    temperatures: tuple[float, ...] = (),
    stride: float = 0.5,
    adapt: float = 1.0,
) -> NoiseSmc:
    """Annealed SMC in noise space through the look-ahead at t = 0: samples the tilted law of the generator itself.

    Exact for the model as it runs, without any error of a time step. ``sampler.steps`` is the number of sweeps.

    Args:
        move: ``pcn`` (no gradient; the best for its cost wherever it was measured, see docs/frontier.md), ``pcnl``
            (Langevin) or ``hmc`` (three leaps).
        moves: Metropolis moves in each sweep.
        ess_threshold: temperatures rise until the effective sample size is this share of N; then all is resampled.
        resampler: ``systematic``, ``stratified``, ``residual``, ``multinomial`` or ``ssp``.
        temperatures: one for each sweep, rising to 1; by default they are adaptive.
        stride: size of the first move in (0, 1], the share of new noise in it.
        adapt: rate at which the logarithm of the stride follows the acceptance rate.
    """
    choice("mode.move", move, MOVES)
    whole_number("mode.moves", moves, 1)
    if fraction("mode.ess_threshold", ess_threshold) in (0, 1):
        raise ValueError(f"mode.ess_threshold={ess_threshold}: must lie between 0 and 1")
    choice("mode.resampler", resampler, RESAMPLERS)
    levels = tuple(fraction("mode.temperatures", level) for level in temperatures)
    if any(then <= now for now, then in zip((0.0, *levels), levels, strict=False)) or (levels and levels[-1] != 1):
        raise ValueError(f"mode.temperatures={list(levels)}: must rise from above 0 to 1")
    if positive("mode.stride", stride) > 1:
        raise ValueError(f"mode.stride={stride}: must be at most 1")
    at_least("mode.adapt", adapt, 0)
    return NoiseSmc(MOVES[move](), moves, ess_threshold, RESAMPLERS[resampler], levels, stride, adapt)


@dataclass(frozen=True)
class AnnealedStart:
    """Lets a run through time start from noise that is annealed to the tilt in force at t = 0, in ``sweeps`` sweeps.

    With a ramp from beta(0), the run begins at ``N(0, I) exp(beta(0) scale r(L_0))``, with weights, log Z and ancestors
    carried on; other arguments as in :func:`noise_smc`.
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
        smc = noise_smc(self.move, self.moves, self.ess_threshold, stride=self.stride)
        return replace(problem, opening=smc.annealing(problem, self.sweeps, target, lands=False))
