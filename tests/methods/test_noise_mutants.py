"""The checks of noise space see the mistakes that can be made there: each mutant must fail clearly in the comparison
with the closed form that the right run passes, and each wrong ratio must move the law that the right one leaves alone.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import pytest

from fmtt.methods.noise_moves import MOVES
from tests.methods import noise_space
from tests.methods.noise_mutants import (
    MUTANTS,
    Altered,
    Unmutated,
    always,
    kind,
    ratio,
    resampling,
    reversed_sign,
    unaltered,
)
from tests.methods.noise_space import EACH_MOVE, FIXED, SLANTED, chained, end, mixture_chained
from tests.methods.states import differing, end_of
from tests.mutants import selection
from tests.support import worst

right = functools.cache(noise_space.found)


@pytest.mark.parametrize("name", MUTANTS)
def test_mutant_is_detected(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    setup, mutate = MUTANTS[name]
    assert right(setup) < 4
    assert worst(end(mutate(setup.loop(), monkeypatch)).population, setup.truth()) > 6


@pytest.mark.slow
@EACH_MOVE
@pytest.mark.parametrize("change", [always, reversed_sign])
def test_wrong_ratio_does_not_leave_the_noise_invariant(move: str, change: Callable) -> None:
    assert chained(Altered(MOVES[move], change), SLANTED).score > 6
    if change is always:
        assert mixture_chained(Altered(MOVES[move], change), 0.9).score > 6


def test_mutations_that_change_nothing_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """The way mutants are built is not itself a mistake."""
    right_end = end_of(FIXED.loop())
    for mutate in (ratio(unaltered), kind(Unmutated), resampling(selection(lambda before, after, where: after))):
        assert differing(right_end, end_of(mutate(FIXED.loop(), monkeypatch)), exactly=True) == []
