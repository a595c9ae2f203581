"""After a resampling some per-particle tensors were those of the ancestor and some were not.

The population is written down before and after every resampling of a run: every tensor of a particle equals that of
the particle it was chosen from, and the caches are what the tilt says at its position.
"""

from dataclasses import replace

import pytest
import torch

from fmtt.flow.noise import Noise
from fmtt.methods.loop import State
from fmtt.smc.population import Population, normalised_weights
from fmtt.smc.resampling import RESAMPLERS
from fmtt.smc.selection import ResampleOnEss
from tests.support import Setup

SETUPS = {
    "flow map": Setup(weights="jarzynski", look_ahead="flowmap1", groups=3, particles=20, ess_threshold=1.0),
    "denoiser": Setup(weights="kernel", look_ahead="denoiser", groups=3, particles=20, ess_threshold=1.0),
}


@pytest.mark.parametrize("name", SETUPS)
def test_caches_belong_to_their_particles_at_every_step(name: str) -> None:
    loop, selections = SETUPS[name].loop(), torch.zeros(3, dtype=torch.long)
    for state, info in loop.run():
        selections += info.selected
        fresh = loop.dynamics.evaluate(state.population.x, state.t, loop.needs[state.step])
        for part, expected in zip(state.population.tilt, fresh, strict=True):
            assert (part is None) == (expected is None)
            if part is not None:
                torch.testing.assert_close(part, expected)
        torch.testing.assert_close(state.population.path.value, fresh.value)
    assert selections.tolist() == [11] * 3


@pytest.mark.parametrize("kind", RESAMPLERS)
def test_every_tensor_is_that_of_the_ancestor(kind: str) -> None:
    before: Population = weighted_state().population
    before = replace(before, ancestors=torch.arange(20).expand(3, 20))
    after, where = ResampleOnEss(1.0, RESAMPLERS[kind])(before, 6, 12, Noise(0, (0, 1, 2)))
    assert where.all()
    chosen = after.ancestors
    assert (chosen != torch.arange(20)).any()
    assert (normalised_weights(before.log_weights).gather(1, chosen) > 0).all()
    for name in ("reward", "value"):
        assert torch.equal(getattr(after.tilt, name), getattr(before.tilt, name).gather(1, chosen))
    assert torch.equal(after.path.value, before.path.value.gather(1, chosen))
    wide = chosen[..., None].expand_as(before.x)
    assert torch.equal(after.x, before.x.gather(1, wide))
    for name in ("gradient", "velocity"):
        assert torch.equal(getattr(after.tilt, name), getattr(before.tilt, name).gather(1, wide))


def weighted_state() -> State:
    """Half a run without resampling."""
    run = SETUPS["denoiser"].but(ess_threshold=0.0).loop().run()
    return next(state for state, _ in run if state.step == 6)
