"""Rules between steps."""

from dataclasses import replace

import pytest
import torch

from fmtt.flow import noise
from fmtt.flow.noise import Noise
from fmtt.smc.population import Population, normalised_weights
from fmtt.smc.potentials import PathValue
from fmtt.smc.resampling import RESAMPLERS
from fmtt.smc.selection import ResampleAtSteps, ResampleOnEss, TopAndClone
from fmtt.tilt.tilt import TiltValue

GROUPS, PARTICLES, STEPS = 3, 8, 20
NOISE = Noise(0, (0, 1, 2))


@pytest.fixture
def population() -> Population:
    reward, log_weights = noise.normal((2, GROUPS, PARTICLES), 0, "r").double()
    x = noise.normal((GROUPS, PARTICLES, 2), 0, "x")
    ancestors = torch.arange(PARTICLES).expand(GROUPS, PARTICLES)
    tilt, path = TiltValue(reward, 2 * reward), PathValue(2 * reward)
    return Population(x, tilt, path, log_weights, torch.zeros(GROUPS).double(), ancestors)


@pytest.mark.parametrize("kind", RESAMPLERS)
def test_resampling_uses_the_keyed_uniforms_of_its_step(kind: str, population: Population) -> None:
    after, where = ResampleOnEss(1.0, RESAMPLERS[kind])(population, 4, STEPS, NOISE)
    u = NOISE.uniform((2 * PARTICLES,), 4, "resampling")
    assert where.all()
    assert torch.equal(after.ancestors, RESAMPLERS[kind](normalised_weights(population.log_weights), u, PARTICLES))
    other, _ = ResampleOnEss(1.0, RESAMPLERS["multinomial"])(population, 5, STEPS, NOISE)
    assert not torch.equal(other.ancestors, after.ancestors)


def test_threshold_is_a_fraction_of_n(population: Population) -> None:
    for group in range(GROUPS):
        ess = population.ess[group].item()
        for threshold, expected in ((ess * 1.0001, True), (ess * 0.9999, False)):
            where = ResampleOnEss(threshold, RESAMPLERS["systematic"])(population, 4, STEPS, NOISE)[1]
            assert bool(where[group]) == expected


@pytest.mark.parametrize("particles", [1, 7, 8, 64])
def test_threshold_one_is_always_and_zero_is_never(particles: int) -> None:
    shape = (1, particles)
    alone = torch.full(shape, -torch.inf, dtype=torch.float64)
    alone[0, 0] = 0
    for log_weights in (torch.zeros(shape).double(), alone):
        zero = torch.zeros(shape).double()
        start = Population.start(torch.zeros(*shape, 2), TiltValue(zero, zero))
        population = replace(start, log_weights=log_weights)
        for threshold, expected in ((1.0, True), (0.0, False)):
            where = ResampleOnEss(threshold, RESAMPLERS["systematic"])(population, 4, STEPS, Noise(0, (0,)))[1]
            assert where.tolist() == [expected]


def test_steps_to_resample_at_count_from_one(population: Population) -> None:
    rule = ResampleAtSteps((1, 7), RESAMPLERS["systematic"])
    assert [step for step in range(1, STEPS) if rule(population, step, STEPS, NOISE)[1].any()] == [1, 7]


@pytest.mark.parametrize("rounds", [1, 3, 4])
def test_search_acts_at_evenly_spread_steps(rounds: int, population: Population) -> None:
    rule = TopAndClone(keep=3, rounds=rounds)
    acted = [step for step in range(1, STEPS) if rule(population, step, STEPS, NOISE)[1].any()]
    assert acted == [round((i + 1) * STEPS / (rounds + 1)) for i in range(rounds)]
    assert torch.equal(rule(population, 1, STEPS, NOISE)[0].x, population.x)


def test_search_clones_the_best_of_each_group(population: Population) -> None:
    after, where = TopAndClone(keep=3, rounds=1)(population, STEPS // 2, STEPS, NOISE)
    assert where.all()
    for g in range(GROUPS):
        best = population.tilt.value[g].argsort(descending=True)[:3].tolist()
        assert after.ancestors[g].tolist() == (best * 3)[:PARTICLES]
        assert torch.equal(after.x[g], population.x[g, after.ancestors[g]])
        assert torch.equal(after.tilt.reward[g], population.tilt.reward[g, after.ancestors[g]])


@pytest.mark.parametrize(("particles", "kept"), [(2, 1), (3, 1), (5, 2), (7, 3), (8, 4)])
def test_search_keeps_four_or_half_of_few(particles: int, kept: int, population: Population) -> None:
    few = population.take(torch.arange(particles).expand(GROUPS, -1))
    after, _ = TopAndClone(keep=None, rounds=1)(few, STEPS // 2, STEPS, NOISE)
    assert {len(group.unique()) for group in after.ancestors} == {kept}


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: ResampleOnEss(1.2, RESAMPLERS["ssp"]), r"mode.ess_threshold=1.2: must lie in \[0, 1\]"),
        (lambda: ResampleOnEss(-0.1, RESAMPLERS["ssp"]), r"mode.ess_threshold=-0.1: must lie in \[0, 1\]"),
        (lambda: ResampleOnEss(float("nan"), RESAMPLERS["ssp"]), "mode.ess_threshold=nan: must be a finite number"),
        (lambda: TopAndClone(0, 1), "mode.keep=0: must be a whole number of at least 1"),
        (lambda: TopAndClone(1, 0), "mode.rounds=0: must be a whole number of at least 1"),
    ],
)
def test_bad_parameters_are_named(build, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        build()
