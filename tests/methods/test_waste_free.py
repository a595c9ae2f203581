"""Waste-free SMC in the space of the noise: all states of a chain are particles, and estimates stay right."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
import torch

import fmtt
from fmtt import modes
from fmtt.methods.noise_smc import NoiseAnnealing
from fmtt.methods.rejuvenation import KeepChains, Moving, Rejuvenated
from fmtt.models.analytic import Gaussian
from fmtt.rewards import Quadratic
from fmtt.smc.population import Population
from tests.methods.noise_space import EACH_MOVE, FIXED, end, found
from tests.support import GAUSSIAN, REWARDS, worst


@EACH_MOVE
@pytest.mark.parametrize("reward", REWARDS)
@pytest.mark.parametrize("chain", [2, 8])
def test_estimates_are_unbiased_at_fixed_temperatures(move: str, reward: str, chain: int) -> None:
    assert found(FIXED.but(move=move, reward=reward, chain=chain, scale=1.5, seed=70 + chain)) < 4


def test_adaptive_temperatures() -> None:
    assert found(FIXED.but(chain=4, temperatures=(), adapt=1.0, steps=6, particles=256, scale=1.5, seed=71)) < 4


def mean_square(chain: int) -> tuple[float, int]:
    """Of the error of log Z of a hard tilt in 8 dimensions of different widths, and how many rewards it took."""
    law = Gaussian([0.0] * 8, [0.3 + 0.2 * k for k in range(8)])
    reward = Quadratic((2.0,) * 8, (4.0,) * 8)
    mode = modes.noise_smc(move="pcnl", stride=1.0, chain=chain)
    run = fmtt.assemble(law, reward, mode=mode, steps=9, groups=64, particles=176, seed=72)
    with torch.no_grad():
        log_z = run.loop.last().population.log_evidence
    return (log_z - law.law.tilted(*reward.quadratic_form(8))[1]).square().mean().item(), run.meter.counts["reward"]


def test_chains_help_where_one_move_hardly_mixes() -> None:
    """A sweep costs as much as with one move of every particle."""
    (one, one_cost), (many, many_cost) = mean_square(1), mean_square(16)
    assert many_cost <= one_cost
    assert many < 0.5 * one


def test_particles_keep_their_ancestors() -> None:
    """With the shortest strides every particle stays near the place where its ancestor began."""
    setup = FIXED.but(chain=4, groups=3, particles=16, scale=2.0, seed=73)
    loop = replace(setup.loop(), lands=False)
    still = replace(loop, rule=replace(loop.rule, stride=1e-9))
    begun = still.start()[0].population.x
    population = end(still).population
    index = population.ancestors[..., None].expand_as(begun)
    torch.testing.assert_close(population.x, begun.gather(1, index), rtol=0, atol=0.03)
    assert all(len(row.unique()) < 16 for row in population.ancestors)


@dataclass(frozen=True)
class Forgetful(KeepChains):
    """Loses the weights of what was resampled."""

    def __call__(self, population: Population, moving: Moving) -> Rejuvenated:
        done = super().__call__(population, moving)
        return done if moving.last else done._replace(population=replace(done.population, log_z=population.log_z))


@dataclass(frozen=True)
class Unweighted(KeepChains):
    """Draws the starts of the chains without regard to weights."""

    def __call__(self, population: Population, moving: Moving) -> Rejuvenated:
        if moving.last:
            return super().__call__(population, moving)
        level = population.log_evidence[:, None].expand_as(population.log_weights) - population.log_z[:, None]
        return super().__call__(replace(population, log_weights=level.clone()), moving)


@pytest.mark.parametrize("mutant", [Forgetful, Unweighted])
def test_mutants_are_found(mutant: type[KeepChains]) -> None:
    setup = FIXED.but(chain=4, scale=2.0, seed=74)
    loop: NoiseAnnealing = setup.loop()
    rule = replace(loop.rule)
    object.__setattr__(rule, "rejuvenation", mutant(4))
    assert worst(end(replace(loop, rule=rule)).population, setup.truth()) > 6
    assert worst(end(loop).population, setup.truth()) < 4


def test_settings_that_do_not_fit_are_named() -> None:
    with pytest.raises(ValueError, match=r"mode.moves=2: must be 1 with mode.chain=4, which keeps every move"):
        modes.noise_smc(chain=4, moves=2)
    with pytest.raises(ValueError, match=r"population.particles=10: must be a multiple of mode.chain=4"):
        fmtt.assemble(GAUSSIAN, REWARDS["linear"], mode=modes.noise_smc(chain=4), particles=10)
    assert (modes.noise_smc(chain=4).block, modes.noise_smc(chain=4).min_particles, modes.noise_smc().block) == (
        4,
        4,
        1,
    )
