"""Annealed SMC in the space of the noise, against closed forms: its moves, its estimates, and its mistakes.

The generator of ``GAUSSIAN`` is affine, ``X(z) = m + sigma z``, so that noise tilted by a quadratic reward is Gaussian
with a mean and a covariance that are written out here. The mixture's generator is solved so finely that its error is
below .02 standard errors. Nothing has a time step, so that the threshold of 4 is one on the statistics everywhere.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from fmtt import engine, noise
from fmtt.look_ahead import Denoiser, FlowMapJumps, NoLookAhead
from fmtt.methods import noise_smc as module
from fmtt.methods.noise_moves import MOVES, Move, Point, SplitHamiltonian, accept
from fmtt.methods.noise_smc import AnnealedState, NoiseAnnealing, noise_smc
from fmtt.models.analytic import MixtureLaw
from fmtt.noise import Noise
from fmtt.particles import Population
from fmtt.resampling import Resampler
from fmtt.rewards.plane import Linear
from fmtt.schedules import PowerEpsilon, RampFrom
from fmtt.tilt import Tilt, TiltValue
from tests.analytic.support import GAUSSIAN, LOOK_AHEADS, MODELS, REWARDS, Setup, Truth, standardised, worst
from tests.unit.test_sampler import differing

LINEAR = Linear((0.7, -0.5))
EACH_MOVE = pytest.mark.parametrize("move", MOVES)
FINE = "mixture with a fine map"
Reward = Callable[[Tensor], Tensor]
double = partial(torch.tensor, dtype=torch.float64)


@dataclass(frozen=True)
class Annealed(Setup):
    """A run in noise space; temperatures are fixed and nothing adapts, so that Z is unbiased."""

    move: str = "pcnl"
    moves: int = 1
    temperatures: tuple[float, ...] = (0.15, 0.4, 0.7, 1.0)
    stride: float = 0.5
    adapt: float = 0.0
    steps: int = 4
    groups: int = 256
    particles: int = 64
    ess_threshold: float = 0.5

    def loop(self, reward: Reward | None = None) -> NoiseAnnealing:
        mode = partial(
            noise_smc, move=self.move, moves=self.moves, ess_threshold=self.ess_threshold, resampler=self.resampler,
            temperatures=self.temperatures, stride=self.stride, adapt=self.adapt,
        )  # fmt: skip
        run = engine.assemble(
            MODELS[self.model], reward or REWARDS[self.reward], look_ahead=LOOK_AHEADS[self.look_ahead], mode=mode,
            scale=self.scale, steps=self.steps, epsilon=self.epsilon, groups=self.groups, particles=self.particles,
            chunk=self.chunk, seed=self.seed,
        )  # fmt: skip
        assert isinstance(run.loop, NoiseAnnealing)
        return run.loop


FIXED = Annealed()
ADAPTIVE = Annealed(temperatures=(), adapt=1.0, steps=8)
SMALL = ADAPTIVE.but(model="mixture", groups=3, particles=16, scale=3.0, seed=11)


def evenly(sweeps: int) -> tuple[float, ...]:
    return tuple((k + 1) / sweeps for k in range(sweeps))


def end(loop: NoiseAnnealing) -> AnnealedState:
    state = loop.last()
    assert isinstance(state, AnnealedState)
    return state


# --- moves leave the tilted noise invariant ---------------------------------------------------------------------


@dataclass(frozen=True)
class Slanted:
    """``r(x) = -x.P x / 2 + l.x`` with P not diagonal, so that coordinates of the tilted noise are correlated."""

    precision: tuple[tuple[float, float], tuple[float, float]] = ((3.0, -1.4), (-1.4, 1.0))
    slope: tuple[float, float] = (1.1, -0.7)

    def __call__(self, x: Tensor) -> Tensor:
        matrix, slope = (torch.tensor(values, dtype=x.dtype) for values in (self.precision, self.slope))
        return -0.5 * ((x @ matrix) * x).sum(1) + x @ slope

    def tilted_noise(self, strength: float) -> tuple[Tensor, Tensor]:
        """Mean and covariance of ``N(z; 0, I) exp(strength r(m + sigma z))``, ``(d,)`` and ``(d, d)``."""
        matrix, slope = (double(values) for values in (self.precision, self.slope))
        spread = torch.diag(GAUSSIAN.std)
        covariance = torch.linalg.inv(torch.eye(2).double() + strength * spread @ matrix @ spread)
        return covariance @ (strength * spread @ (slope - matrix @ GAUSSIAN.mean)), covariance

    def value_and_gradient(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """``r(m + sigma z)`` and its gradient in z, written out."""
        matrix, slope = (double(values) for values in (self.precision, self.slope))
        x = GAUSSIAN.mean + GAUSSIAN.std * z
        value = -0.5 * torch.einsum("...i,ij,...j->...", x, matrix, x) + x @ slope
        return value, GAUSSIAN.std * (slope - x @ matrix)


STRIDES, TEMPERS = (0.35, 0.7, 0.95), (1.0, 0.4)
CHAIN_GROUPS, CHAIN_PARTICLES, CHAIN_MOVES, STEEPNESS = 384, 100, 25, 3.0


class Chained(NamedTuple):
    """What many moves from the exact law leave: the largest deviation in standard errors and the lowest acceptance."""

    score: float
    acceptance: float


def evaluator(model: str, reward: Reward, scale: float) -> Callable[[Tensor], TiltValue]:
    tilt = Tilt(FlowMapJumps(MODELS[model], 1), reward, scale, RampFrom(1.0), 1_000_000)
    return lambda z: tilt.evaluate(z, 0.0, gradient=True)


def steps_of(move: Move, z: Tensor, temper: Tensor, stride: Tensor, evaluate: Callable, count: int) -> tuple:
    """The particles after ``count`` moves, and the mean acceptance of each group."""
    here, chances = Point(z, evaluate(z)), []
    for k in range(count):
        normal, u = noise.normal(z.shape, 5, k, "proposal"), noise.uniform(z.shape[:2], 5, k, "acceptance")
        here, chance = accept(here, *move.propose(here, temper, stride, normal.to(z.dtype), evaluate), u)
        chances.append(chance.mean(1))
    return here, torch.stack(chances).mean(0)


def chained(move: Move, reward: Slanted | Linear, moments: Callable[[float], tuple[Tensor, Tensor]]) -> Chained:
    """Means, variances and the cross term for each stride and temperature; groups that share neither stand apart."""
    group = torch.arange(CHAIN_GROUPS)
    stride = double(STRIDES)[group % 3]
    temper = double(TEMPERS)[group % 2]
    mean, covariance = zip(*(moments(STEEPNESS * TEMPERS[g % 2]) for g in range(CHAIN_GROUPS)), strict=True)
    mean, covariance = torch.stack(mean), torch.stack(covariance)
    xi = noise.normal((CHAIN_GROUPS, CHAIN_PARTICLES, 2), 3, "exact draws").double()
    z = mean[:, None] + xi @ torch.linalg.cholesky(covariance).mT
    evaluate = evaluator("gaussian", reward, STEEPNESS)
    here, acceptance = steps_of(move, z.float(), temper, stride, evaluate, CHAIN_MOVES)
    offset = here.z.double() - mean[:, None]
    products = torch.einsum("gni,gnj->gij", offset, offset) / CHAIN_PARTICLES - covariance
    found = torch.cat([offset.mean(1), products.flatten(1)[:, [0, 1, 3]]], dim=1)
    scores = [abs(standardised(found[group % 6 == kind, k])) for kind in range(6) for k in range(found.shape[1])]
    return Chained(max(scores), acceptance.min().item())


def linear_moments(strength: float) -> tuple[Tensor, Tensor]:
    return strength * GAUSSIAN.std * double(LINEAR.direction), torch.eye(2).double()


@EACH_MOVE
def test_move_leaves_slanted_gaussian_noise_invariant(move: str) -> None:
    found = chained(MOVES[move](), Slanted(), Slanted().tilted_noise)
    assert found.score < 4
    assert found.acceptance < 0.9  # so that the ratio matters


@EACH_MOVE
def test_move_leaves_shifted_noise_invariant(move: str) -> None:
    found = chained(MOVES[move](), LINEAR, linear_moments)
    assert found.score < 4


def mixture_chained(move: Move, stride: float) -> Chained:
    """From exact draws of the tilted mixture, taken back to noise; nothing is Gaussian here."""
    setup = Setup(model=FINE, scale=2.0, seed=3)
    law = MODELS[FINE].law.tilted(*form(setup))[0]
    ones = torch.ones(64 * 100).double()
    z = MODELS[FINE].flow_map(law.sample(len(ones), 3), ones, 0 * ones).reshape(64, 100, 2)
    evaluate = evaluator(FINE, REWARDS["quadratic"], 2.0)
    one = torch.ones(64).double()
    here, acceptance = steps_of(move, z.float(), one, stride * one, evaluate, 4)
    scores = [abs(standardised(values)) for values in moments_of(here.tilt.sample, law)]
    return Chained(max(scores), acceptance.max().item())


def form(setup: Setup) -> tuple[Tensor, Tensor, float]:
    precision, slope, constant = REWARDS[setup.reward].quadratic_form(2)
    return setup.scale * precision, setup.scale * slope, setup.scale * constant


def moments_of(x: Tensor, law: MixtureLaw) -> list[Tensor]:
    """Deviations in every group of mean, second moment and ``E[x_0 x_1]``, ``(G,)`` each."""
    x = x.double()
    components = law.log_weights.exp()
    cross = (components * law.means[:, 0] * law.means[:, 1]).sum()
    first, second = (x.mean(1) - law.mean).unbind(1), (x.square().mean(1) - law.second_moment).unbind(1)
    return [*first, *second, (x[..., 0] * x[..., 1]).mean(1) - cross]


@EACH_MOVE
def test_move_leaves_tilted_noise_of_a_mixture_invariant(move: str) -> None:
    found = mixture_chained(MOVES[move](), 0.9)
    assert found.score < 4
    assert found.acceptance < 0.8


# --- ratios -----------------------------------------------------------------------------------------------------

PLACES = noise.normal((2, 40, 2), 8, "places").double()
FRESH = noise.normal((2, 40, 2), 8, "fresh").double()
HEAT = double([1.0, 0.35])


def potential(z: Tensor) -> tuple[Tensor, Tensor]:
    """``-Phi`` and its gradient at the temperatures HEAT."""
    value, gradient = Slanted().value_and_gradient(z)
    return HEAT[:, None] * 2.0 * value, HEAT[:, None, None] * 2.0 * gradient


def log_normal(x: Tensor, mean: Tensor, std: float) -> Tensor:
    return torch.distributions.Normal(mean, std).log_prob(x).sum(-1)


def log_ratio_by_densities(v: Tensor, mean: Callable[[Tensor], Tensor], std: float) -> Tensor:
    """``log pi(v) q(v, u) / (pi(u) q(u, v))`` with u the PLACES and ``q(a, .) = N(mean(a), std^2)``."""
    u = PLACES
    there = log_normal(v, torch.zeros(2).double(), 1.0) + potential(v)[0] + log_normal(u, mean(v), std)
    return there - log_normal(u, torch.zeros(2).double(), 1.0) - potential(u)[0] - log_normal(v, mean(u), std)


def propose(move: Move, z: Tensor, stride: float, normal: Tensor) -> tuple[Point, Tensor]:
    evaluate = evaluator("gaussian", Slanted(), 2.0)
    return move.propose(Point(z, evaluate(z)), HEAT, torch.full((2,), stride, dtype=torch.float64), normal, evaluate)


@pytest.mark.parametrize("stride", [0.1, 0.6, 1.0])
def test_pcn_ratio_is_that_of_the_densities(stride: float) -> None:
    there, log_ratio = propose(MOVES["pcn"](), PLACES, stride, FRESH)

    def mean(z: Tensor) -> Tensor:
        return math.sqrt(1 - stride**2) * z

    torch.testing.assert_close(there.z, mean(PLACES) + stride * FRESH)
    torch.testing.assert_close(log_ratio, log_ratio_by_densities(there.z, mean, stride))
    assert log_ratio.std() > 0.01


@pytest.mark.parametrize("delta", [0.02, 0.4, 1.3, 2.0])
def test_pcnl_ratio_is_that_of_the_densities(delta: float) -> None:
    stride = math.sqrt(8 * delta) / (2 + delta)
    there, log_ratio = propose(MOVES["pcnl"](), PLACES, stride, FRESH)

    def mean(z: Tensor) -> Tensor:
        return ((2 - delta) * z + 2 * delta * potential(z)[1]) / (2 + delta)

    torch.testing.assert_close(there.z, mean(PLACES) + stride * FRESH)
    torch.testing.assert_close(log_ratio, log_ratio_by_densities(there.z, mean, stride))
    assert log_ratio.std() > 0.001


def leapfrog(z: Tensor, p: Tensor, angle: float, leaps: int, force: Callable[[Tensor], Tensor]) -> tuple:
    """Rotations in the complex plane of ``z + i p``, kicks between them."""
    kick = angle / 2
    for leap in range(leaps):
        p = p + (kick if leap == 0 else 2 * kick) * force(z)
        turned = torch.complex(z, p) * complex(math.cos(angle), -math.sin(angle))
        z, p = turned.real, turned.imag
    return z, p + kick * force(z)


def mixture_force(z: Tensor) -> Tensor:
    gradient = evaluator(FINE, REWARDS["quadratic"], 2.0)(z).gradient
    assert gradient is not None
    return HEAT[:, None, None] * gradient


def mixture_energy(z: Tensor, p: Tensor) -> Tensor:
    value = evaluator(FINE, REWARDS["quadratic"], 2.0)(z).value
    return (z.square() + p.square()).sum(-1) / 2 - HEAT[:, None] * value


@pytest.mark.parametrize("leaps", [1, 3])
def test_hmc_follows_a_leapfrog_and_comes_back(leaps: int) -> None:
    """A map that returns when the momentum is flipped, and whose ratio is the energy lost, is a Metropolis move."""
    stride, evaluate = torch.full((2,), 0.9, dtype=torch.float64), evaluator(FINE, REWARDS["quadratic"], 2.0)
    move = SplitHamiltonian(leaps)
    there, log_ratio = move.propose(Point(PLACES, evaluate(PLACES)), HEAT, stride, FRESH, evaluate)
    z, p = leapfrog(PLACES, FRESH, 0.9 * math.pi / 2 / leaps, leaps, mixture_force)
    torch.testing.assert_close(there.z, z)
    torch.testing.assert_close(log_ratio, mixture_energy(PLACES, FRESH) - mixture_energy(z, p))
    back, log_ratio_back = move.propose(there, HEAT, stride, -p, evaluate)
    torch.testing.assert_close(back.z, PLACES)
    torch.testing.assert_close(log_ratio_back, -log_ratio)
    assert log_ratio.std() > 0.05


def test_hmc_keeps_volume() -> None:
    """The determinant of the leapfrog that :func:`test_hmc_follows_a_leapfrog_and_comes_back` compares with."""

    def force(z: Tensor) -> Tensor:
        return torch.stack([z[1].sin() - z[0] ** 3, z[0] * z[1].cos() - z[1]])  # no symmetry, and a gradient

    def flow(state: Tensor) -> Tensor:
        return torch.cat(leapfrog(state[:2], state[2:], 0.45, 3, force))

    state = torch.tensor([0.7, -1.1, 0.4, 0.9]).double()
    jacobian = torch.autograd.functional.jacobian(flow, state)
    torch.testing.assert_close(torch.linalg.det(jacobian), torch.ones(()).double())


@EACH_MOVE
def test_stride_of_one_forgets_where_it_was(move: str) -> None:
    """Without a reward: the proposal is the fresh noise itself, and always taken."""
    evaluate = evaluator("gaussian", LINEAR, 0.0)
    one = torch.ones(2).double()
    there, log_ratio = MOVES[move]().propose(Point(PLACES, evaluate(PLACES)), one, one, FRESH, evaluate)
    torch.testing.assert_close(there.z, FRESH)
    torch.testing.assert_close(log_ratio, torch.zeros(2, 40).double())


def test_acceptance_moves_a_particle_with_all_its_caches() -> None:
    evaluate = evaluator("gaussian", Slanted(), 2.0)
    here, there = (Point(z, evaluate(z)) for z in (PLACES[:, :4], FRESH[:, :4]))
    log_ratio = torch.tensor([[math.log(0.3), math.log(0.3), 2.0, float("nan")]] * 2).double()
    u = torch.tensor([[0.29, 0.31, 0.999, 0.0]] * 2).double()
    after, chance = accept(here, there, log_ratio, u)
    taken = torch.tensor([[True, False, True, False]] * 2)
    torch.testing.assert_close(chance, torch.tensor([[0.3, 0.3, 1.0, 0.0]] * 2).double())
    assert torch.equal(after.z, torch.where(taken[..., None], there.z, here.z))
    for name, values in evaluate(after.z)._asdict().items():
        if values is not None:
            torch.testing.assert_close(getattr(after.tilt, name), values)


# --- the method hits closed forms ------------------------------------------------------------------------------


def found(setup: Annealed) -> float:
    return worst(end(setup.loop()).population, setup.truth())


@EACH_MOVE
@pytest.mark.parametrize("reward", REWARDS)
@pytest.mark.parametrize("steps", [1, 4, 12])
def test_gaussian_at_fixed_temperatures(move: str, reward: str, steps: int) -> None:
    """Few sweeps are as unbiased as many; Z itself is, at any number of particles."""
    seed = 100 * steps + 10 * list(MOVES).index(move) + (reward == "linear")
    setup = FIXED.but(move=move, reward=reward, steps=steps, temperatures=evenly(steps), scale=1.5, seed=seed)
    assert found(setup) < 4


@EACH_MOVE
@pytest.mark.parametrize("reward", REWARDS)
def test_mixture_at_fixed_temperatures(move: str, reward: str) -> None:
    setup = FIXED.but(model=FINE, move=move, reward=reward, groups=200, particles=32, stride=0.8, seed=30)
    assert found(setup) < 4


@EACH_MOVE
@pytest.mark.parametrize(("model", "steps"), [("gaussian", 4), ("gaussian", 12), (FINE, 4)])
def test_adaptive_temperatures_and_strides(move: str, model: str, steps: int) -> None:
    groups = 256 if model == "gaussian" else 200
    assert found(ADAPTIVE.but(model=model, move=move, steps=steps, groups=groups, scale=1.5, seed=31)) < 4


@pytest.mark.parametrize("resampler", ["stratified", "residual", "multinomial", "ssp"])
def test_resamplers_and_many_moves(resampler: str) -> None:
    setup = FIXED.but(resampler=resampler, moves=3, ess_threshold=0.99, scale=2.0, seed=32)
    state = end(setup.loop())
    assert worst(state.population, setup.truth()) < 4
    assert state.selections.min() == 3


@pytest.mark.parametrize("look_ahead", ["flowmap4", "diffusion2", "exact"])
def test_exact_for_the_generator_as_it_runs(look_ahead: str) -> None:
    """Two Euler steps are another generator than the flow map, with another law, and this is the one that is tilted."""
    setup = FIXED.but(look_ahead=look_ahead, scale=1.5, seed=33)
    ends = torch.tensor([[0.0, 0.0], [1.0, 1.0]]).double()
    origin, corner = LOOK_AHEADS[look_ahead](GAUSSIAN)(ends, torch.zeros(2).double()).sample
    law = MixtureLaw(origin[None], (corner - origin)[None].abs(), torch.zeros(1).double())
    tilted, log_z = law.tilted(*form(setup))
    truth = Truth(tilted.mean, tilted.second_moment, log_z)
    population = end(setup.loop()).population
    assert worst(population, truth) < 4
    if look_ahead == "diffusion2":
        assert worst(population, setup.truth()) > 6


def test_target_below_one() -> None:
    """What a mode that goes on from there starts with."""
    setup = FIXED.but(scale=2.0, seed=34)
    state = end(replace(setup.loop(), target=0.5))
    assert worst(state.population, setup.but(scale=1.0).truth()) < 4
    assert state.temper.unique().tolist() == [0.5]


def test_one_call_of_the_library() -> None:
    setup = FIXED.but(scale=1.5)
    mode = partial(noise_smc, temperatures=setup.temperatures, adapt=0.0)
    reward, truth = REWARDS["quadratic"], setup.truth()
    result = engine.sample(GAUSSIAN, reward, mode=mode, scale=1.5, steps=4, groups=256, particles=64, seed=35)
    log_z, error = result.log_z_and_error
    assert abs(log_z - truth.log_z) < 4 * error
    means = result.mean(result.samples)
    assert all(abs(standardised(means[:, d] - truth.mean[d])) < 4 for d in range(2))
    torch.testing.assert_close(result.rewards, reward(result.samples.flatten(0, 1)).double().reshape(256, 64))
    drawn = result.samples[torch.arange(256), result.selected]
    assert all(abs(standardised(drawn[:, d] - truth.mean[d])) < 4 for d in range(2))


# --- mutants ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Altered:
    """A move whose ratio is replaced by ``change(ratio, here, there, temper)``."""

    right: Move
    change: Callable[[Tensor, Point, Point, Tensor], Tensor]

    @property
    def target(self) -> float:
        return self.right.target

    @property
    def uses_gradient(self) -> bool:
        return self.right.uses_gradient

    def propose(
        self, here: Point, temper: Tensor, stride: Tensor, normal: Tensor, evaluate: Callable[[Tensor], TiltValue]
    ) -> tuple[Point, Tensor]:
        there, log_ratio = self.right.propose(here, temper, stride, normal, evaluate)
        return there, self.change(log_ratio, here, there, temper)


def always(log_ratio: Tensor, here: Point, there: Point, temper: Tensor) -> Tensor:
    return torch.zeros_like(log_ratio)


def reversed_sign(log_ratio: Tensor, here: Point, there: Point, temper: Tensor) -> Tensor:
    return -log_ratio


def without_gradients(log_ratio: Tensor, here: Point, there: Point, temper: Tensor) -> Tensor:
    """The ratio of pCN, for a proposal that is not pCN's."""
    return temper[:, None] * (there.tilt.value - here.tilt.value)


def unaltered(log_ratio: Tensor, here: Point, there: Point, temper: Tensor) -> Tensor:
    return log_ratio


class Unweighted(NoiseAnnealing):
    """Increments dropped: moves alone follow the temperature."""

    def step(self, state: AnnealedState) -> AnnealedState:
        tilt = state.population.tilt
        blind = replace(state.population, tilt=tilt._replace(value=torch.zeros_like(tilt.value)))
        return super().step(replace(state, population=blind))

    def moved(self, population: Population, temper: Tensor, stride: Tensor, sweep: int) -> tuple[Population, Tensor]:
        return super().moved(replace(population, tilt=self.evaluate(population.x)), temper, stride, sweep)


class LateMoves(NoiseAnnealing):
    """Moves at the temperature of the sweep before."""

    def moved(self, population: Population, temper: Tensor, stride: Tensor, sweep: int) -> tuple[Population, Tensor]:
        late = torch.full_like(temper, (0.0, *self.temperatures)[sweep])
        return super().moved(population, late, stride, sweep)


class LateIncrements(NoiseAnnealing):
    """Weights and moves at the temperature of the sweep before, so that the last is never reached."""

    def next_temper(self, state: AnnealedState) -> Tensor:
        return torch.full_like(state.temper, (0.0, *self.temperatures)[state.step])


class Unmutated(NoiseAnnealing):
    """Nothing is wrong."""


Mutation = Callable[[NoiseAnnealing, pytest.MonkeyPatch], NoiseAnnealing]
Change = Callable[[Population, Population], Population]


def ratio(change: Callable[[Tensor, Point, Point, Tensor], Tensor]) -> Mutation:
    return lambda loop, patch: replace(loop, move=Altered(loop.move, change))


def kind(mutant: type[NoiseAnnealing]) -> Mutation:
    return lambda loop, patch: mutant(**{field.name: getattr(loop, field.name) for field in fields(loop)})


def resampling(change: Change) -> Mutation:
    """Resampling whose result is altered by ``change(before, after)``."""

    def mutate(loop: NoiseAnnealing, patch: pytest.MonkeyPatch) -> NoiseAnnealing:
        right = module.resample

        def wrong(population: Population, resampler: Resampler, where: Tensor, step: int, draws: Noise) -> Population:
            return change(population, right(population, resampler, where, step, draws))

        patch.setattr(module, "resample", wrong)
        return loop

    return mutate


def stale(name: str) -> Mutation:
    """One cache of the tilt not permuted."""
    return resampling(
        lambda before, after: replace(after, tilt=after.tilt._replace(**{name: getattr(before.tilt, name)}))
    )


def forgotten_permutation(before: Population, after: Population) -> Population:
    return replace(after, x=before.x, tilt=before.tilt)


def dropped_carry(before: Population, after: Population) -> Population:
    """Weights forgotten where nothing was resampled."""
    return replace(after, log_weights=torch.zeros_like(after.log_weights))


def kept_weights(before: Population, after: Population) -> Population:
    """Weights that a resampling has used up, used again."""
    return replace(after, log_weights=before.log_weights)


def forgotten_evidence(before: Population, after: Population) -> Population:
    return replace(after, log_z=before.log_z)


STEEP = FIXED.but(scale=4.0, stride=0.9, moves=2, seed=40)
SWINGING = STEEP.but(move="hmc", scale=8.0, stride=1.0)
SHUFFLED = FIXED.but(resampler="multinomial", scale=3.0, stride=0.9, ess_threshold=0.99, seed=41)

MUTANTS: dict[str, tuple[Annealed, Mutation]] = {
    "pcn accepts always": (STEEP.but(move="pcn"), ratio(always)),
    "pcnl accepts always": (STEEP, ratio(always)),
    "hmc accepts always": (SWINGING, ratio(always)),
    "pcn ratio with the wrong sign": (STEEP.but(move="pcn"), ratio(reversed_sign)),
    "pcnl ratio with the wrong sign": (STEEP, ratio(reversed_sign)),
    "hmc ratio with the wrong sign": (SWINGING, ratio(reversed_sign)),
    "pcnl ratio without gradients": (STEEP, ratio(without_gradients)),
    "hmc ratio without kinetic energy": (SWINGING, ratio(without_gradients)),
    "increments dropped": (FIXED, kind(Unweighted)),
    "moves one temperature late": (FIXED.but(scale=2.0, moves=3), kind(LateMoves)),
    "temperature one sweep late": (FIXED, kind(LateIncrements)),
    "value not permuted": (SHUFFLED, stale("value")),
    "value not permuted, without gradient": (SHUFFLED.but(move="pcn"), stale("value")),
    "gradient not permuted": (SHUFFLED, stale("gradient")),
    "gradient not permuted, hmc": (SHUFFLED.but(move="hmc"), stale("gradient")),
    "sample not permuted": (SHUFFLED.but(move="pcn"), stale("sample")),
    "permutation forgotten": (SHUFFLED, resampling(forgotten_permutation)),
    "carry dropped": (FIXED.but(ess_threshold=0.1), resampling(dropped_carry)),
    "weights used twice": (SHUFFLED, resampling(kept_weights)),
    "evidence forgotten": (SHUFFLED, resampling(forgotten_evidence)),
    "noise returned for samples": (FIXED, lambda loop, patch: replace(loop, lands=False)),
}


@functools.cache
def right_score(setup: Annealed) -> float:
    return found(setup)


@pytest.mark.parametrize("name", MUTANTS)
def test_mutant_is_detected(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    setup, mutate = MUTANTS[name]
    assert right_score(setup) < 4
    assert worst(end(mutate(setup.loop(), monkeypatch)).population, setup.truth()) > 6


@pytest.mark.parametrize("move", MOVES)
@pytest.mark.parametrize("change", [always, reversed_sign])
def test_wrong_ratio_does_not_leave_the_noise_invariant(move: str, change: Callable) -> None:
    assert chained(Altered(MOVES[move](), change), Slanted(), Slanted().tilted_noise).score > 6
    if change is always:
        assert mixture_chained(Altered(MOVES[move](), change), 0.9).score > 6


def test_mutations_that_change_nothing_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """The way mutants are built is not itself a mistake."""
    for mutate in (ratio(unaltered), kind(Unmutated), resampling(lambda before, after: after)):
        assert differing(end(FIXED.loop()), end(mutate(FIXED.loop(), monkeypatch)), exactly=True) == []


# --- what must hold in every run --------------------------------------------------------------------------------


@EACH_MOVE
@pytest.mark.parametrize("setup", [FIXED, ADAPTIVE], ids=["fixed", "adaptive"])
def test_no_reward_is_no_evidence(move: str, setup: Annealed) -> None:
    for loop in (
        setup.but(move=move, groups=4, scale=0.0).loop(),
        setup.but(move=move, groups=4).loop(Linear((0.0, 0.0))),
    ):
        state = end(loop)
        torch.testing.assert_close(state.population.log_evidence, torch.zeros(4).double(), rtol=0, atol=1e-12)
        torch.testing.assert_close(state.acceptance, torch.ones(4).double(), rtol=0, atol=1e-5)


@EACH_MOVE
def test_constant_in_the_reward_shifts_log_z_and_changes_no_sample(move: str) -> None:
    setup = FIXED.but(move=move, groups=8, scale=3.0, ess_threshold=0.99, seed=50)

    def reward(x: Tensor, constant: float = 0.0) -> Tensor:
        return REWARDS["quadratic"](x.double()) + constant

    plain, shifted = end(setup.loop(reward)), end(setup.loop(partial(reward, constant=-7.3)))
    assert plain.selections.min() > 0
    assert torch.equal(plain.population.x, shifted.population.x)
    shift = shifted.population.log_evidence - plain.population.log_evidence
    torch.testing.assert_close(shift, torch.full((8,), 3.0 * -7.3).double())


@EACH_MOVE
@pytest.mark.parametrize("chunk", [1, 7, 48])
def test_chunks_do_not_matter(move: str, chunk: int) -> None:
    setup = SMALL.but(model="gaussian", move=move)
    assert differing(end(setup.loop()), end(setup.but(chunk=chunk).loop()), exactly=False) == []


@EACH_MOVE
def test_groups_run_together_or_apart(move: str) -> None:
    loop = SMALL.but(move=move).loop()
    together = end(loop)
    assert together.selections.min() > 0
    for group in range(3):
        apart = end(replace(loop, noise=Noise(11, (group,))))
        assert differing(together, apart, exactly=False, group=group) == []


@EACH_MOVE
@pytest.mark.parametrize("step", [0, 1, 5, 8])
def test_run_goes_on_from_any_state(move: str, step: int) -> None:
    setup = SMALL.but(move=move, moves=2)
    states = list(setup.loop().run())
    resumed = list(setup.loop().run(states[step]))
    assert [state.step for state in resumed] == list(range(step, 9))
    assert differing(states[-1], resumed[-1], exactly=True) == []


@EACH_MOVE
def test_moves_never_use_a_draw_twice(move: str) -> None:
    keys = []

    class Recording(Noise):
        def normal(self, shape: tuple[int, ...], step: int, purpose: str) -> Tensor:
            keys.append((step, purpose))
            return super().normal(shape, step, purpose)

        def uniform(self, shape: tuple[int, ...], step: int, purpose: str) -> Tensor:
            keys.append((step, purpose))
            return super().uniform(shape, step, purpose)

    end(replace(SMALL.but(move=move, moves=3).loop(), noise=Recording(11, (0, 1, 2))))
    assert len(keys) == len(set(keys)) == 1 + 8 * (1 + 2 * 3)


@EACH_MOVE
def test_caches_belong_to_their_particles_after_every_sweep(move: str) -> None:
    loop = SMALL.but(move=move, resampler="multinomial").loop()
    states = list(loop.run())
    assert states[-1].selections.min() > 0
    for state in states[:-1]:
        fresh, cached = loop.evaluate(state.population.x), state.population.tilt
        for name, values in fresh._asdict().items():
            if values is not None:
                torch.testing.assert_close(getattr(cached, name), values, rtol=1e-4, atol=1e-4)
    landed = states[-1].population
    reward = REWARDS["quadratic"](landed.x.flatten(0, 1)).double().reshape(3, 16)
    torch.testing.assert_close(landed.tilt.reward, reward)
    assert torch.equal(landed.x, landed.tilt.sample)


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.9])
def test_temperatures_rise_to_one_as_far_as_the_weights_bear(threshold: float) -> None:
    setup = ADAPTIVE.but(groups=16, steps=40, scale=20.0, ess_threshold=threshold, seed=51)
    states = list(setup.loop().run())
    assert (states[0].temper == 0).all()
    assert (states[-1].temper == 1).all()
    for before, after in itertools.pairwise(states):
        assert (after.temper >= before.temper).all()
        climbing = (after.temper < 1) & (before.temper < 1)
        assert (after.temper[climbing] > before.temper[climbing]).all()
        assert (after.ess[climbing] < threshold + 1e-6).all()  # it went as far as it could
        if after.step < 40:
            assert (after.ess >= threshold - 1e-9).all()
    assert states[1].temper.max() < 1


@pytest.mark.parametrize("scale", [20.0, 1e5])
def test_all_is_resampled_where_the_weights_bear_no_more(scale: float) -> None:
    """Else the next sweep could not climb: the temperature that was found may stop just short of the threshold."""
    states = list(ADAPTIVE.but(groups=16, steps=30, scale=scale, seed=51).loop().run())
    for after in states[1:]:
        assert after.selected[after.temper < 1].all()
    assert states[1].temper.max() < 1


@EACH_MOVE
def test_infinite_reward_of_the_last_move_is_not_returned(move: str) -> None:
    """Refused or reported, as it is in every sweep but the last."""

    def reward(x: Tensor) -> Tensor:
        return torch.where(x[:, 0] > 2.3, torch.inf, x[:, 0])

    loop = FIXED.but(move=move, groups=4, particles=16, stride=0.9, steps=1, temperatures=(), seed=0).loop(reward)
    try:
        state = end(loop)
    except FloatingPointError:
        return
    assert state.population.tilt.reward.isfinite().all()


def test_temperatures_reach_one_in_too_few_sweeps() -> None:
    states = list(ADAPTIVE.but(groups=4, steps=2, scale=50.0).loop().run())
    assert states[1].temper.max() < 1
    assert (states[2].temper == 1).all()
    assert states[2].ess.max() < 0.5
    assert not states[2].selected.any()


def test_temperatures_that_are_given_are_kept() -> None:
    states = list(FIXED.but(groups=2).loop().run())
    assert [state.temper.unique().tolist() for state in states] == [[0.0], *([t] for t in FIXED.temperatures)]


@EACH_MOVE
def test_acceptance_approaches_the_target(move: str) -> None:
    setup = ADAPTIVE.but(move=move, groups=16, steps=50, scale=30.0, stride=0.02, seed=52)
    states = list(setup.loop().run())
    late = torch.stack([state.acceptance for state in states[-20:]]).mean(0)
    assert (late - MOVES[move]().target).abs().max() < 0.05
    assert (states[1].acceptance > 0.9).all()  # it had a long way to go
    strides = torch.stack([state.stride for state in states])
    assert (strides > 1e-3).all()
    assert (strides <= 1).all()


def test_stride_is_frozen_without_adaptation() -> None:
    assert end(FIXED.loop()).stride.unique().tolist() == [0.5]


# --- refusals ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("look_ahead", [NoLookAhead, Denoiser])
def test_what_generates_nothing_is_refused(look_ahead: Callable) -> None:
    with pytest.raises(ValueError, match=f"mode=noise_smc: .*{look_ahead.__name__}.*use the look-ahead flowmap1"):
        engine.sample(GAUSSIAN, LINEAR, look_ahead=look_ahead, mode=noise_smc, steps=2)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"move": "gibbs"}, "mode.move=gibbs: must be one of pcn, pcnl, hmc"),
        ({"moves": 0}, "mode.moves=0: must be a whole number of at least 1"),
        ({"ess_threshold": 0.0}, "mode.ess_threshold=0.0: must lie between 0 and 1"),
        ({"ess_threshold": 1.0}, "mode.ess_threshold=1.0: must lie between 0 and 1"),
        ({"ess_threshold": 1.5}, r"mode.ess_threshold=1.5: must lie in \[0, 1\]"),
        ({"ess_threshold": None}, "mode.ess_threshold=None: must be a finite number"),
        ({"resampler": "wheel"}, "mode.resampler=wheel: must be one of systematic"),
        ({"stride": 2.0}, "mode.stride=2.0: must be at most 1"),
        ({"stride": 0.0}, "mode.stride=0.0: must be positive"),
        ({"stride": math.nan}, "mode.stride=nan: must be a finite number"),
        ({"adapt": -1.0}, "mode.adapt=-1.0: must be at least 0"),
        ({"adapt": math.nan}, "mode.adapt=nan: must be a finite number"),
        ({"adapt": None}, "mode.adapt=None: must be a finite number"),
        ({"temperatures": (0.5, 0.5, 0.7, 1.0)}, r"mode.temperatures=\[0.5, 0.5, 0.7, 1.0\]: must rise from above 0"),
        ({"temperatures": (0.0, 0.5, 0.7, 1.0)}, r"mode.temperatures=\[0.0, 0.5, 0.7, 1.0\]: must rise from above 0"),
        ({"temperatures": (0.2, 0.5, 0.7, 0.9)}, r"mode.temperatures=\[0.2, 0.5, 0.7, 0.9\]: must rise .* to 1"),
        ({"temperatures": (0.2, 0.5, 0.7, 1.2)}, r"mode.temperatures=1.2: must lie in \[0, 1\]"),
        ({"temperatures": (0.5, 1.0)}, "mode.temperatures: needs one for each of the 4 sweeps, got 2"),
    ],
)
def test_bad_arguments_are_named(arguments: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        engine.assemble(GAUSSIAN, LINEAR, mode=partial(noise_smc, **arguments), steps=4)


def test_no_sweep_is_refused() -> None:
    with pytest.raises(ValueError, match=r"sampler\.steps=0"):
        engine.assemble(GAUSSIAN, LINEAR, mode=noise_smc, steps=0)


def test_epsilon_is_of_no_account() -> None:
    one, other = (end(FIXED.but(groups=2, epsilon=PowerEpsilon(c)).loop()) for c in (1.0, 3.0))
    assert differing(one, other, exactly=True) == []
