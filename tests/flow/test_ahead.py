"""Work done one step ahead."""

import threading

import pytest
import torch

import fmtt
from fmtt.flow.ahead import Ahead
from tests.support import GAUSSIAN, REWARDS


def test_the_next_step_is_made_in_another_thread_and_once() -> None:
    made: list[tuple[int, bool]] = []

    def make(step: int) -> int:
        made.append((step, threading.current_thread() is threading.main_thread()))
        return 10 * step

    ahead = Ahead(make, 4)
    assert [ahead(step) for step in range(4)] == [0, 10, 20, 30]
    assert made == [(0, True), (1, False), (2, False), (3, False)]


def test_steps_out_of_turn_are_made_at_once() -> None:
    ahead = Ahead(lambda step: step, 10)
    assert [ahead(step) for step in (5, 5, 6, 2, 3, 9)] == [5, 5, 6, 2, 3, 9]


def test_errors_arrive_where_the_step_is_asked_for() -> None:
    def make(step: int) -> int:
        if step == 1:
            raise ValueError("no step 1")
        return step

    ahead = Ahead(make, 3)
    assert ahead(0) == 0
    with pytest.raises(ValueError, match="no step 1"):
        ahead(1)


def test_large_draws_are_the_same_ahead_and_at_once() -> None:
    """The first group of a large run, whose draws are made ahead, is that of a small run."""
    settings = {"particles": 600, "steps": 6, "mode": fmtt.modes.importance(weights="kernel")}
    large = fmtt.assemble(GAUSSIAN, REWARDS["linear"], groups=6, **settings)
    small = fmtt.assemble(GAUSSIAN, REWARDS["linear"], groups=6, group_numbers=[0], **settings)
    assert isinstance(large.loop.next_step, Ahead)
    assert not isinstance(small.loop.next_step, Ahead)
    assert torch.equal(large.loop.last().population.x[:1], small.loop.last().population.x)
