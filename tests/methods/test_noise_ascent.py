"""Ascent in noise space finds the maximum where it is known, by the steps of its paper, and returns the best it saw."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Tensor

import fmtt
from fmtt.api import Run, finish
from fmtt.methods.ascent import AscentState
from fmtt.methods.loop import State
from fmtt.methods.noise_opt import NoiseAscent, noise_opt
from fmtt.models.analytic import Gaussian
from fmtt.rewards.plane import Linear
from tests.methods.states import states
from tests.support import GAUSSIAN, REWARDS

QUADRATIC = REWARDS["quadratic"]  # largest, and zero, at its centre
CENTRE = torch.tensor(QUADRATIC.center)
GROUPS, PARTICLES = 8, 16


def ascent(steps: int = 120, scale: float = 1.0, model=GAUSSIAN, reward=QUADRATIC, **settings: float) -> Run:
    mode = partial(noise_opt, **({"rate": 0.2, "clip": 10.0, "regularisation": 0.0} | settings))
    return fmtt.assemble(
        model, reward, mode=mode, steps=steps, scale=scale, groups=GROUPS, particles=PARTICLES, chunk=100_000
    )


def test_ascent_finds_the_maximum() -> None:
    """Every particle on its own, however far away it starts."""
    run = ascent()
    state = run.loop.last()
    assert (state.population.x - CENTRE).abs().max() < 1e-3
    assert (state.population.tilt.reward > -1e-5).all()
    assert (run.loop.start()[0].population.tilt.reward < -1).sum() > 50
    result = finish(run, state)
    assert torch.equal(result.rewards.gather(1, result.selected[:, None])[:, 0], result.rewards.max(1).values)


def test_ascent_with_the_settings_of_the_paper_comes_near() -> None:
    """Its steps are as long as the clipped gradient makes them, and the best of them counts."""
    rewards = ascent(rate=5.0, clip=0.1, regularisation=0.01, steps=50).loop.last().population.tilt.reward
    assert rewards.max(1).values.min() > -0.01
    assert rewards.median() > -0.1


@pytest.mark.parametrize(("rate", "scale"), [(0.2, 1.0), (30.0, 1.0), (0.5, -1.0)])
def test_the_best_iterate_is_returned(rate: float, scale: float) -> None:
    """Also where the ascent does not converge, and where the smallest reward is wanted."""
    *way, state = states(ascent(rate=rate, scale=scale, steps=30).loop)
    rewards = torch.stack([scale * earlier.population.tilt.reward for earlier in way])
    final = scale * state.population.tilt.reward
    assert (final >= rewards.max(0).values).all()
    assert torch.equal(QUADRATIC(state.population.x.flatten(0, 1)).double(), state.population.tilt.reward.flatten())
    if rate == 30:  # nothing is better than the start
        assert (rewards[-1] < rewards[0]).all()
        assert (final == rewards[0]).all()
    else:
        assert (final > rewards[0]).all()


def test_iterates_are_those_of_nesterov_in_torch() -> None:
    """An independent optimiser, with clipping on the way, from the same noise."""
    rate, momentum, clip, regularisation = 0.4, 0.8, 0.5, 0.3
    run = ascent(rate=rate, momentum=momentum, clip=clip, regularisation=regularisation, steps=12, scale=1.7)
    way = states(run.loop)
    z = way[0].population.x[0, 3].clone().requires_grad_()
    optimiser = torch.optim.SGD([z], lr=rate, momentum=momentum, nesterov=True, maximize=True)
    clipped = 0
    for state in way[:-1]:
        assert torch.allclose(z, state.population.x[0, 3], atol=1e-5)
        x = GAUSSIAN.flow_map(z[None], torch.zeros(1), torch.ones(1))
        size = z.norm()
        objective = 1.7 * QUADRATIC(x)[0] + regularisation * ((len(z) - 1) * size.log() - size**2 / 2)
        optimiser.zero_grad()
        objective.backward()
        clipped += bool(torch.nn.utils.clip_grad_norm_([z], clip) > clip)
        optimiser.step()
    assert 0 < clipped < 12


WIDE = Gaussian(torch.linspace(-1, 1, 64).tolist(), torch.linspace(0.5, 1.5, 64).tolist())
FIRST = Linear((1.0, *[0.0] * 63))


def lengths_of_noise(regularisation: float) -> tuple[Tensor, Tensor, list[State]]:
    """|z| before and after, and the states."""
    way = states(ascent(model=WIDE, reward=FIRST, regularisation=regularisation, rate=0.1, steps=100).loop)
    first, last = way[0].population.x, way[-2].population.x  # the last state holds samples
    return first.norm(dim=2), last.norm(dim=2), way


def test_regularised_noise_stays_as_long_as_noise_is() -> None:
    """It settles where ``|z| - (d - 1) / |z|`` is the slope of the reward over the regularisation."""
    regularisation = 0.5
    before, after, way = lengths_of_noise(regularisation)
    slope = 0.5 / regularisation  # the std of the first coordinate is 0.5
    settled = (slope + (slope**2 + 4 * 63) ** 0.5) / 2
    assert abs(settled - 8) < 0.6
    assert (after - 8).abs().max() < 0.7
    assert (after <= settled + 1e-3).all()
    assert way[-1].population.tilt.reward.min() > way[0].population.tilt.reward.max()
    assert (before - 8).abs().max() > 1  # not because it had been there


def test_noise_without_regularisation_grows() -> None:
    _, after, _ = lengths_of_noise(0.0)
    assert after.min() > 12


def test_ascent_counts_one_gradient_for_each_iteration() -> None:
    run = ascent(steps=7)
    state = run.loop.last()
    particles = GROUPS * PARTICLES
    assert isinstance(run.loop, NoiseAscent) and isinstance(state, AscentState)
    assert (run.meter.forward, run.meter.backward, run.meter.reward) == (8 * particles, 7 * particles, 8 * particles)


def test_look_ahead_that_makes_no_samples_of_noise_is_refused() -> None:
    with pytest.raises(ValueError, match=r"mode=noise_opt: works on the noise of a generator.*Denoiser"):
        fmtt.assemble(GAUSSIAN, QUADRATIC, mode=noise_opt, look_ahead=fmtt.Denoiser)
