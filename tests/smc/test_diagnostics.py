"""Diagnostics in closed form."""

import math

import pytest
import torch

from fmtt.flow import noise
from fmtt.smc.diagnostics import (
    incremental_discrepancy,
    log_mean_and_error,
    mean_and_error,
    pooled_mean,
    unique_ancestors,
    weighted_mean,
)


@pytest.mark.parametrize("sigma", [0.1, 0.4, 0.8])
def test_discrepancy_of_gaussian_increments_is_their_variance(sigma: float) -> None:
    """For ``a ~ N(m, s^2)``: ``E[e^2a] / E[e^a]^2 = exp(s^2)``; the normal law is put on its quantiles."""
    probability = (torch.arange(200_000, dtype=torch.float64) + 0.5) / 200_000
    increment = 0.3 + sigma * torch.special.ndtri(probability)[None]
    discrepancy = incremental_discrepancy(torch.zeros_like(increment), increment)
    assert discrepancy.item() == pytest.approx(sigma**2, rel=1e-3)


def test_discrepancy_of_two_weighted_particles() -> None:
    log_weights = torch.tensor([[0.0, math.log(3.0)]], dtype=torch.float64)
    increment = torch.tensor([[math.log(2.0), 0.0]], dtype=torch.float64)
    mean, square = 0.25 * 2 + 0.75, 0.25 * 4 + 0.75
    assert incremental_discrepancy(log_weights, increment).item() == pytest.approx(math.log(square / mean**2))


def test_discrepancy_of_a_constant_increment_is_zero() -> None:
    log_weights = noise.normal((4, 7), 0, "w").double()
    increment = torch.full((4, 7), 500.0).double()
    torch.testing.assert_close(
        incremental_discrepancy(log_weights, increment), torch.zeros(4).double(), rtol=0, atol=1e-9
    )
    assert (incremental_discrepancy(log_weights, increment) >= 0).all()


def test_groups_do_not_see_each_other() -> None:
    log_weights, increment = noise.normal((2, 4, 7), 0, "w").double()
    alone = torch.cat([incremental_discrepancy(log_weights[g : g + 1], increment[g : g + 1]) for g in range(4)])
    torch.testing.assert_close(incremental_discrepancy(log_weights, increment), alone)


def test_weighted_mean() -> None:
    values = torch.tensor([[[1.0, 10.0], [5.0, 30.0]]])
    log_weights = torch.tensor([[1000.0, 1000.0 + math.log(3.0)]], dtype=torch.float64)
    torch.testing.assert_close(weighted_mean(values, log_weights), torch.tensor([[4.0, 25.0]]).double())
    assert weighted_mean(values[..., 0], log_weights).tolist() == pytest.approx([4.0])


def test_unique_ancestors() -> None:
    ancestors = torch.tensor([[0, 1, 2, 3], [3, 3, 3, 3], [2, 0, 2, 0]])
    assert unique_ancestors(ancestors).tolist() == [4, 1, 2]


def test_mean_and_error() -> None:
    assert mean_and_error(torch.tensor([1.0, 2.0, 6.0])) == pytest.approx((3.0, math.sqrt(7 / 3)))
    mean, error = mean_and_error(torch.tensor([2.0]))
    assert mean == 2
    assert math.isnan(error)


@pytest.mark.parametrize("shift", [0.0, -2000.0, 2000.0])
def test_log_of_the_mean_is_not_the_mean_of_the_log(shift: float) -> None:
    log_values = torch.tensor([0.0, math.log(3.0)], dtype=torch.float64) + shift
    found, error = log_mean_and_error(log_values)
    assert found == pytest.approx(math.log(2.0) + shift)
    assert error == pytest.approx(0.5)  # standard error of (1, 3) over their mean
    assert found > log_values.mean()


def test_pooled_means_count_by_the_evidence() -> None:
    means, log_z = torch.tensor([[1.0, 0.0], [4.0, 8.0]]), torch.tensor([0.0, math.log(3.0)])
    mean, error = pooled_mean(means, log_z)
    assert mean.tolist() == pytest.approx([3.25, 6.0])
    residual = [0.25 * (1 - 3.25), 0.75 * (4 - 3.25)]
    assert error[0].item() == pytest.approx(math.sqrt(2 * (residual[0] ** 2 + residual[1] ** 2)))
    assert pooled_mean(means[:1], log_z[:1])[1].isnan().all()


def test_pooled_means_have_no_bias_of_small_groups() -> None:
    """Three particles of N(0, 1), weighted by ``e^x``: the mean is 1, and the plain average over groups is not."""
    x = noise.normal((40_000, 3), 0, "pooled").double()
    means, log_z = weighted_mean(x, x), x.logsumexp(1)
    mean, error = pooled_mean(means, log_z)
    assert abs(mean - 1) < 3 * error < 0.1
    plain, plain_error = mean_and_error(means)
    assert abs(plain - 1) > 20 * plain_error


def test_the_error_of_pooled_means_is_their_spread() -> None:
    """With weights ``e^(x/2)``; the error is one of many groups, and too small for few with heavier tails."""
    x = noise.normal((400, 100, 3), 1, "pooled").double()
    pooled = [pooled_mean(weighted_mean(part, part / 2), (part / 2).logsumexp(1)) for part in x]
    means, errors = (torch.stack([pair[k] for pair in pooled]) for k in (0, 1))
    assert errors.mean().item() == pytest.approx(means.std().item(), rel=0.1)
