"""A method is dominated where another is better beyond chance, and nowhere worse."""

import pytest
import torch

from fmtt.flow import noise
from fmtt.studies.dominance import contests, dominated

CELL = ("rotation", 64.0)


def qualities(key: str, reward: float, success: float, apart: float) -> dict[str, torch.Tensor]:
    """128 samples whose qualities have these means."""
    return {
        "reward": noise.normal((128,), key, "reward") + reward,
        "success": (noise.uniform((128,), key, "success") < success).double(),
        "diversity": noise.normal((128,), key, "apart") + apart,
    }


def by_whom(**methods: dict[str, torch.Tensor]) -> dict[str, list[str]]:
    return {name: rivals for (_, name), rivals in dominated(contests({CELL: methods})).items()}


def test_a_method_that_is_better_in_one_quality_and_worse_in_none_dominates() -> None:
    found = by_whom(a=qualities("a", 1.0, 0.5, 0.0), b=qualities("b", 0.0, 0.5, 0.0), c=qualities("c", 1.0, 0.5, 0.0))
    assert found == {"a": [], "b": ["a", "c"], "c": []}


def test_shares_count_too() -> None:
    found = by_whom(a=qualities("a", 0.0, 0.95, 0.0), b=qualities("b", 0.0, 0.5, 0.0))
    assert found == {"a": [], "b": ["a"]}


def test_a_method_that_gives_up_another_quality_does_not_dominate() -> None:
    found = by_whom(a=qualities("a", 1.0, 0.5, -1.0), b=qualities("b", 0.0, 0.5, 0.0))
    assert found == {"a": [], "b": []}


def test_pairs_see_what_means_do_not() -> None:
    """A difference of a tenth of the spread, always the same, is certain."""
    one = qualities("a", 0.0, 0.5, 0.0)
    assert by_whom(a=one, b=one | {"reward": one["reward"] - 0.1 * noise.uniform((128,), "a little")}) == {
        "a": [],
        "b": ["a"],
    }


def test_equal_methods_are_seldom_told_apart() -> None:
    """At a level of 5% of all tests together, some of 40 families of tests may reject: at most 6, with 1 in 100."""
    wrong = 0
    for family in range(40):
        methods = {name: qualities(f"{name}{family}", 0.0, 0.5, 0.0) for name in "abcd"}
        wrong += any(dominated(contests({CELL: methods})).values())
    assert wrong <= 6


def test_correction_counts_all_cells() -> None:
    """A difference that is significant in one cell alone is not among many."""
    apart = {"a": qualities("a", 0.36, 0.5, 0.0), "b": qualities("b", 0.0, 0.5, 0.0)}
    alone = dominated(contests({CELL: apart}))
    cells = {("other", float(k)): {n: qualities(f"{n}{k}", 0, 0.5, 0) for n in "ab"} for k in range(200)}
    among = dominated(contests({CELL: apart, **cells}))
    assert alone[CELL, "b"] == ["a"] and among[CELL, "b"] == []


def test_methods_need_the_same_noise() -> None:
    short = {name: values[:100] for name, values in qualities("b", 0.0, 0.5, 0.0).items()}
    with pytest.raises(ValueError, match="rotation at 64: a has 128 samples, b 100"):
        contests({CELL: {"a": qualities("a", 0.0, 0.5, 0.0), "b": short}})
