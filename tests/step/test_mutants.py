"""The check against the closed form sees the mistakes that have been made elsewhere: each mutant must fail clearly."""

import functools

import pytest

from fmtt.smc.population import Population
from tests.gaussian_chain import reference
from tests.mutants import ALWAYS, MUTANTS, RATIO, SHORT, score_times, selection, without_final_weights
from tests.support import Setup, last, worst


@functools.cache
def right(setup: Setup) -> Population:
    return last(setup.loop()).population


@pytest.mark.parametrize("name", MUTANTS)
def test_mutant_is_detected(name: str) -> None:
    setup, mutate = MUTANTS[name]
    truth = reference(setup)
    accepted, detected = worst(right(setup), truth), worst(last(mutate(setup.loop())).population, truth)
    assert accepted < 4
    assert detected > 6


@pytest.mark.parametrize(
    "setup", [SHORT, RATIO, SHORT.but(ess_threshold=0.0)], ids=["jarzynski", "kernel", "never resampled"]
)
def test_weights_dropped_at_the_end_are_detected(setup: Setup) -> None:
    truth = reference(setup)
    accepted, detected = worst(right(setup), truth), worst(without_final_weights(right(setup)), truth)
    assert accepted < 4
    assert detected > 6


def test_mutation_that_changes_nothing_passes() -> None:
    """The way mutants are built is not itself a mistake."""
    truth = reference(ALWAYS)
    for mutate in (score_times(1.0), selection(lambda before, after, where: after)):
        found = worst(last(mutate(ALWAYS.loop())).population, truth)
        assert found < 4
