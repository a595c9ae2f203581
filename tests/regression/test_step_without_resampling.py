"""A step without resampling applied a stale ancestor index and lost the weights.

A step without resampling is the identity on particles and keeps the log-weights; so it is for single groups of a batch.
"""

import torch

from fmtt.flow.noise import Noise
from fmtt.smc.population import Population
from fmtt.smc.resampling import RESAMPLERS
from fmtt.smc.selection import KeepAll, ResampleAtSteps, ResampleOnEss
from tests.support import Setup

NOISE = Noise(0, (0, 1, 2))


def weighted() -> Population:
    run = (
        Setup(look_ahead="denoiser", weights="kernel", scale=3.0, groups=3, particles=20, ess_threshold=0.0)
        .loop()
        .run()
    )
    return next(state.population for state, _ in run if state.step == 6)


def same(one: Population, other: Population, group: int) -> bool:
    pairs = [(getattr(one, name), getattr(other, name)) for name in ("x", "log_weights", "log_z", "ancestors")]
    for record, another in ((one.tilt, other.tilt), (one.path, other.path)):
        pairs += [pair for pair in zip(record, another, strict=True) if pair != (None, None)]
    return all(torch.equal(a[group], b[group]) for a, b in pairs)


def test_nothing_happens_above_the_threshold() -> None:
    before = weighted()
    lowest = before.ess.min().item()
    for rule in (
        ResampleOnEss(0.99 * lowest, RESAMPLERS["systematic"]),
        ResampleAtSteps((3,), RESAMPLERS["ssp"]),
        KeepAll(),
    ):
        after, where = rule(before, 6, 12, NOISE)
        assert not where.any()
        assert all(same(before, after, group) for group in range(3))


def test_groups_above_the_threshold_are_left_alone() -> None:
    before = weighted()
    between = before.ess.sort().values[:2].mean().item()
    after, where = ResampleOnEss(between, RESAMPLERS["systematic"])(before, 6, 12, NOISE)
    assert where.sum() == 1
    for group in range(3):
        assert same(before, after, group) != bool(where[group])
    torch.testing.assert_close(after.log_evidence, before.log_evidence)


def test_first_step_may_pass_without_resampling() -> None:
    run = Setup(groups=3, particles=20, ess_threshold=0.0).loop().run()
    state = next(state for state, _ in run if state.step == 1)
    assert torch.equal(state.population.ancestors, torch.arange(20).expand(3, 20))
    assert state.population.log_weights.std() > 0
