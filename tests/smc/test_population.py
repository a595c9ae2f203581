"""The population: effective sample size, evidence, and permuting all of it at once."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from fmtt.flow import noise
from fmtt.smc.population import Population, effective_fraction, log_mean_weight, normalised_weights
from fmtt.smc.potentials import PathValue
from fmtt.tilt.tilt import TiltValue, gather


def population(groups: int = 3, particles: int = 5) -> Population:
    """A population in which every number of every particle is its own."""
    shape = (groups, particles)
    x, gradient, velocity, sample = noise.normal((4, *shape, 2), 0, "vectors")
    reward, value, log_weights, peak, rate, path = noise.normal((6, *shape), 0, "scalars").double()
    ancestors = torch.arange(groups * particles).reshape(shape) * 10
    tilt = TiltValue(reward, value, gradient, velocity, sample, rate)
    return Population(x, tilt, PathValue(path, peak), log_weights, torch.arange(groups).double(), ancestors)


def per_particle(p: Population) -> dict[str, Tensor]:
    path = {f"path {name}": values for name, values in p.path._asdict().items()}
    return {"x": p.x, "log_weights": p.log_weights, "ancestors": p.ancestors, **p.tilt._asdict(), **path}


@pytest.mark.parametrize("alive", [1, 3, 8])
def test_ess_of_equal_weights_is_the_share_that_is_alive(alive: int) -> None:
    log_weights = torch.full((1, 8), -math.inf, dtype=torch.float64)
    log_weights[:, :alive] = 2.3
    assert effective_fraction(log_weights).item() == pytest.approx(alive / 8)


def test_ess_of_two_weights() -> None:
    log_weights = torch.tensor([[0.0, math.log(3.0)]], dtype=torch.float64)
    assert effective_fraction(log_weights).item() == pytest.approx(16 / 10 / 2)


@pytest.mark.parametrize("shift", [-1e5, 0.0, 1e5])
def test_common_factor_changes_the_mean_weight_only(shift: float) -> None:
    log_weights = population().log_weights
    torch.testing.assert_close(
        effective_fraction(log_weights + shift), effective_fraction(log_weights), rtol=1e-9, atol=0
    )
    torch.testing.assert_close(
        log_mean_weight(log_weights + shift), log_mean_weight(log_weights) + shift, rtol=1e-14, atol=1e-9
    )
    torch.testing.assert_close(normalised_weights(log_weights).sum(1), torch.ones(3).double())


def test_evidence_is_what_was_used_up_and_the_mean_weight() -> None:
    p = population()
    torch.testing.assert_close(p.log_evidence, p.log_z + p.log_weights.exp().mean(1).log())


def test_start() -> None:
    tilt = population().tilt
    p = Population.start(torch.zeros(3, 5, 2), tilt)
    assert p.tilt is tilt
    assert p.path.value is tilt.value
    assert p.path.peak is None
    assert torch.equal(p.log_evidence, torch.zeros(3).double())
    torch.testing.assert_close(p.ess, torch.ones(3).double())
    assert p.ancestors.tolist() == [[0, 1, 2, 3, 4]] * 3


def test_take_permutes_everything_alike() -> None:
    p, index = population(), torch.tensor([[4, 0, 0, 2], [1, 1, 1, 1], [0, 1, 2, 3]])
    taken = p.take(index)
    for name, values in per_particle(p).items():
        expected = torch.stack([values[g, index[g]] for g in range(3)])
        assert torch.equal(per_particle(taken)[name], expected), name
    assert taken.log_z is p.log_z


def test_take_keeps_what_is_not_there() -> None:
    p = population()
    bare = replace(p, tilt=TiltValue(p.tilt.reward, p.tilt.value), path=PathValue(p.path.value))
    taken = bare.take(torch.zeros(3, 2, dtype=torch.long))
    assert taken.tilt[2:] == (None, None, None, None)
    assert taken.path.peak is None


def test_resampling_acts_where_it_is_told_to() -> None:
    p, index = population(), torch.tensor([[4, 0, 0, 2, 3]] * 3)
    where = torch.tensor([True, False, True])
    after = p.resampled(index, where)
    torch.testing.assert_close(after.log_evidence, p.log_evidence)
    assert torch.equal(after.log_weights[where], torch.zeros(2, 5).double())
    for name, values in per_particle(p).items():
        assert torch.equal(per_particle(after)[name][1], values[1]), name
        if name != "log_weights":
            assert torch.equal(per_particle(after)[name][where], gather(values, index)[where]), name
    assert after.log_z[1] == p.log_z[1]
