"""Intervals cover as they say, and tests reject as often as they say, where the law is known."""

import math

import pytest
import torch

from fmtt.flow import noise
from fmtt.studies.significance import bootstrap, holm, paired_tests, sign_test, wilson


@pytest.mark.parametrize(
    ("hits", "number", "low", "high"), [(0, 10, 0.0, 0.2775), (5, 10, 0.2366, 0.7634), (81, 263, 0.2553, 0.3662)]
)
def test_wilson_gives_published_intervals(hits: int, number: int, low: float, high: float) -> None:
    assert wilson(hits, number) == pytest.approx((low, high), abs=1e-4)  # Newcombe 1998, table I


def test_wilson_without_trials_knows_nothing() -> None:
    assert wilson(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize("share", [0.03, 0.5, 0.9])
def test_wilson_covers(share: float) -> None:
    """The chance that the interval of 64 trials covers the share, by the binomial law."""
    chance = [math.comb(64, k) * share**k * (1 - share) ** (64 - k) for k in range(65)]
    covered = sum(p for k, p in enumerate(chance) if wilson(k, 64)[0] <= share <= wilson(k, 64)[1])
    assert 0.92 < covered < 0.98


def test_bootstrap_intervals_cover_the_mean_of_skewed_values() -> None:
    values = -noise.uniform((400, 128), "skewed").log()  # exponential, of mean 1
    ends = [bootstrap(row, draws=400) for row in values]
    covered = sum(low <= 1 <= high for low, high in ends) / len(ends)
    assert abs(covered - 0.95) < 4 * math.sqrt(0.95 * 0.05 / 400) + 0.01  # the percentile interval is a little short
    widths = torch.tensor([high - low for low, high in ends])
    assert abs(widths.mean() - 2 * 1.96 / math.sqrt(128)) < 0.02


def test_sign_test_counts_pairs_that_differ() -> None:
    pairs = torch.tensor([1.0] * 9 + [-1.0] + [0.0] * 40)
    assert sign_test(pairs) == pytest.approx(2 * (1 + 10) / 2**10)
    assert sign_test(-pairs) == sign_test(pairs)
    assert sign_test(torch.zeros(5)) == 1.0
    assert sign_test(torch.tensor([1.0, -1.0])) == 1.0


def test_paired_tests_reject_equal_methods_as_often_as_they_say() -> None:
    apart = noise.normal((128, 2000), "equal").double()
    apart *= torch.linspace(0.1, 3, 128)[:, None]  # pairs of different spread
    p = torch.tensor(paired_tests(apart, draws=4000))
    for level in (0.05, 0.5):
        assert abs((p <= level).double().mean() - level) < 4 * math.sqrt(level * (1 - level) / 2000) + 0.002


def test_paired_tests_see_a_difference_of_four_standard_errors() -> None:
    shift = 4 / math.sqrt(128)
    p = torch.tensor(paired_tests(noise.normal((128, 400), "shifted").double() + shift))
    assert (p < 0.01).double().mean() > 0.85
    assert p.median() == pytest.approx(math.erfc(4 / math.sqrt(2)), rel=3)


def test_paired_tests_of_equal_and_of_certain_differences() -> None:
    certain, equal = paired_tests(torch.tensor([[2.0, 0.0]] * 40))
    (few,) = paired_tests(torch.ones(3, 1))
    assert certain == pytest.approx(2.0**-39)
    assert equal == 1.0
    assert few == pytest.approx(0.25, abs=0.02)


def test_holm_adjusts_as_published() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])  # Holm 1979
    assert holm([0.9, 0.6]) == [1.0, 1.0]
    assert holm([]) == []
