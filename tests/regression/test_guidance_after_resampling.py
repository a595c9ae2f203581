"""Guidance was computed before the resampling and not permuted with the particles.

The gradient that moves a particle after a resampling is that at its own position; with that of the particle that stood
in its place before, the sampler is wrong.
"""

from __future__ import annotations

import pytest
import torch

from tests.gaussian_chain import reference
from tests.mutants import SHUFFLED, stale
from tests.support import last, worst


def test_the_move_after_a_resampling_is_guided_at_its_own_position() -> None:
    loop = SHUFFLED.but(groups=4).loop()
    resampled = 0
    for state, info in loop.run():
        population, needs = state.population, loop.needs[state.step]
        if info.selected.any() and needs.gradient:
            resampled += 1
            fresh = loop.dynamics.evaluate(population.x, state.t, needs).gradient
            torch.testing.assert_close(population.tilt.gradient, fresh)
            assert not torch.allclose(info.weighed.tilt.gradient, fresh), "the resampling moved nothing"
    assert resampled > 5


@pytest.mark.parametrize("right", [True, False])
def test_a_gradient_that_stays_behind_is_seen(right: bool) -> None:
    loop = SHUFFLED.loop() if right else stale("gradient")(SHUFFLED.loop())
    found = worst(last(loop).population, reference(SHUFFLED))
    assert found < 4 if right else found > 6, found
