"""A short version of the statistical suite, and its own checks."""

import math

import pytest
import torch

from fmtt.flow import noise
from tests.validation.page import write_page
from tests.validation.problems import LOOK_AHEADS, Score, normal_distance, problem, score
from tests.validation.suite import Group, Mutant, Order, failures, groups_of, slope

SCORES = [
    Score(number, "denoiser", "kernel", "ssp", "euler", *noise.normal((3,), number, "score").tolist(), 0.1, 2.0)
    for number in range(100)
]


@pytest.mark.slow
def test_scores_are_those_of_a_normal_law() -> None:
    values = torch.tensor([score(problem(number), steps=50)[5:8] for number in range(16)])
    assert max(normal_distance(column) for column in values.T) < 1.95
    assert values.abs().max() < 4.5


def test_problems_are_of_every_kind() -> None:
    problems = [problem(number) for number in range(500)]
    assert {p.look_ahead for p in problems} == set(LOOK_AHEADS)
    assert {p.weights for p in problems} == {"jarzynski", "material", "kernel"}
    assert {p.model.shape[0] for p in problems} == set(range(1, 17))
    assert {len(p.model.means) for p in problems} == set(range(1, 7))
    assert len({p.resampler for p in problems}) == 5
    assert {p.transport for p in problems} == {"euler", "flowmap"}
    assert problem(3).model.means.equal(problem(3).model.means)


def test_distance_from_the_normal_law() -> None:
    draws = noise.normal((2000,), 0, "scores")
    assert normal_distance(draws) < 1.63
    for wrong in (draws + 0.2, 1.2 * draws, draws.abs()):
        assert normal_distance(wrong) > 1.95
    assert normal_distance(torch.zeros(1)) == 0.5


def test_failures_are_named() -> None:
    off = Group("all", 100, 0.3, 1.1, 2.5, 0.1, 2.0)
    slow = Order("slow", (12, 24), (0.1, 0.09), (0.001, 0.001), 0.15, 0.02)
    missed, wrong = Mutant("missed", 1.0, 3.0), Mutant("wrong", 5.0, 9.0)
    assert len(failures([off], [slow], [missed, wrong])) == 4
    assert failures(groups_of(SCORES), [slow._replace(order=1.0)], [Mutant("caught", 1.0, 9.0)]) == []


def test_order_of_convergence() -> None:
    order, error = slope([0.8, 0.41, 0.001], [0.01, 0.01, 0.01])
    assert abs(order - 1) < 3 * error < 0.15
    assert slope([0.8, 0.2, 0.05], [1e-3] * 3)[0] == pytest.approx(2)
    assert math.isnan(slope([0.1, 0.0, 0.0], [0.01] * 3)[0])


def test_the_page_shows_everything(tmp_path) -> None:
    orders = [Order("first", (12, 24), (0.1, 0.05), (0.001, 0.001), 1.0, 0.02)]
    page = write_page(tmp_path, SCORES, groups_of(SCORES), orders, [Mutant("flip", 1.0, 9.0)], ["a check"], 1.0)
    text = page.read_text()
    for word in ("1 checks fail", "a check", "qq-kernel", "first", "flip", "+0.1000"):
        assert word in text
