"""Intervals for log Z: Student's quantiles, and how often they hold the truth."""

from __future__ import annotations

import math

import pytest
import torch

from fmtt.flow import noise
from fmtt.smc.diagnostics import tail_variance
from fmtt.smc.intervals import MANY, around, log_mean_interval, student_quantile


@pytest.mark.parametrize(
    ("degrees", "level", "expected"),
    [(1, 0.95, 12.7062), (2, 0.95, 4.3027), (3, 0.95, 3.1824), (4, 0.95, 2.7764), (9, 0.95, 2.2622),
     (30, 0.95, 2.0423), (120, 0.95, 1.9799), (1, 0.5, 1.0), (2, 0.99, 9.9248), (7, 0.99, 3.4995)],
)  # fmt: skip
def test_quantiles_are_those_of_the_tables(degrees: int, level: float, expected: float) -> None:
    assert student_quantile(degrees, level) == pytest.approx(expected, abs=6e-5)


def test_many_degrees_are_the_normal_law() -> None:
    assert student_quantile(MANY - 1) == pytest.approx(student_quantile(MANY), abs=3e-3)
    assert around(2.0, 0.5) == pytest.approx((2 - 0.98, 2 + 0.98), abs=1e-4)


@pytest.mark.parametrize("groups", [2, 4, 16])
def test_an_interval_holds_the_truth_as_often_as_it_says(groups: int) -> None:
    """Groups estimate Z = 3 with a relative error of .2; of 4,000 runs 95% have a standard error of .34%."""
    values = math.log(3) + 0.2 * noise.normal((4000, groups), "interval").double() - 0.02
    hits = sum(low < math.log(3) < high for low, high in map(log_mean_interval, values))
    assert abs(hits / 4000 - 0.95) < 4 * 0.0034
    short = sum(abs(own.mean() - math.log(3)) < 1.96 * own.std() / groups**0.5 for own in values)
    assert (groups > 10) or short / 4000 < 0.9


def test_tails_tell_what_the_drawn_weights_do_not() -> None:
    """Of normal log-weights of variance 16, a million draws show a hundredth of the variance of the weights."""
    flat, increment = torch.zeros(64, 1000).double(), 4 * noise.normal((64, 1000), "tail").double()
    by_tail = tail_variance(flat, increment).log().mean().item()
    drawn = (torch.logsumexp(2 * increment, 1) - 2 * torch.logsumexp(increment, 1) + math.log(1000)).mean().item()
    assert by_tail == pytest.approx(16, rel=0.1)
    assert drawn < 7


def test_tails_of_bounded_weights_are_short() -> None:
    """What lies far below the mean does not count, and neither does what carries no weight."""
    increment = -4 * noise.normal((64, 1000), "tail").double().square()
    assert tail_variance(torch.zeros(64, 1000).double(), increment).log().mean() < 30
    weights = torch.zeros(1, 100).double()
    weights[0, 0] = -1000.0
    only = torch.zeros(1, 100).double()
    only[0, 0] = 50.0
    assert tail_variance(weights, only).item() == 0
