"""Best-of-N in rounds: never worse from round to round, and each round is what it says."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Tensor

import fmtt
from fmtt.api import Run
from fmtt.flow.schedules import ZeroEpsilon
from fmtt.methods import baselines
from fmtt.methods.loop import State
from fmtt.methods.role import returned
from fmtt.methods.rounds import multi_best_of_n
from fmtt.step.transport import FlowMapTransport
from fmtt.tilt.look_ahead import FlowMapJumps
from tests.methods.states import states
from tests.support import GAUSSIAN, REWARDS, standardised

QUADRATIC = REWARDS["quadratic"]  # largest, and zero, at its centre
GROUPS = 8


def rounds(steps: int, groups: int = GROUPS, **changes) -> Run:
    return fmtt.assemble(
        GAUSSIAN, QUADRATIC, mode=multi_best_of_n, steps=steps, groups=groups, particles=6, chunk=100_000, **changes
    )


def best_reward(state: State) -> Tensor:
    return state.population.tilt.reward.max(1).values


@pytest.mark.parametrize("scale", [1.0, -1.0])
def test_best_never_gets_worse_from_round_to_round(scale: float) -> None:
    way = states(rounds(12, groups=64, scale=scale).loop)[1:]
    best = torch.stack([state.population.tilt.value.max(1).values for state in way])
    assert (best.diff(dim=0) >= 0).all()
    assert (best.diff(dim=0) > 0).any(0).double().mean() > 0.9
    for state in way:
        x, tilt = state.population.x, state.population.tilt
        assert torch.equal(QUADRATIC(x.flatten(0, 1)).double(), tilt.reward.flatten())
        assert torch.equal(scale * tilt.reward, tilt.value)


def test_rounds_pay() -> None:
    """At the same N, and also at the same number of landings."""
    ten, one = (best_reward(rounds(steps, groups=128).loop.last()) for steps in (10, 1))
    assert standardised(ten - one) > 6
    run = fmtt.assemble(
        GAUSSIAN, QUADRATIC, mode=baselines.best_of_n, epsilon=ZeroEpsilon(), transport=FlowMapTransport, steps=1,
        groups=128, particles=60, chunk=100_000,
    )  # fmt: skip
    assert standardised(ten - best_reward(run.loop.last())) > 4


@pytest.mark.parametrize("steps", [1, 3, 10])
def test_each_round_asks_once_for_each_particle(steps: int) -> None:
    run = rounds(steps)
    run.loop.last()
    assert run.meter.reward == run.meter.forward == steps * 6 * GROUPS
    assert run.meter.backward == 0


@pytest.mark.parametrize("jumps", [1, 3])
def test_first_round_is_best_of_n_from_the_same_noise(jumps: int) -> None:
    look = partial(FlowMapJumps, steps=jumps)
    first = states(rounds(5, look_ahead=look).loop)[1].population
    run = fmtt.assemble(
        GAUSSIAN, QUADRATIC, mode=baselines.best_of_n, epsilon=ZeroEpsilon(), transport=FlowMapTransport, steps=jumps,
        groups=GROUPS, particles=6,
    )  # fmt: skip
    best = run.loop.last().population
    assert torch.allclose(first.x, best.x, atol=1e-6)
    alone = rounds(1, look_ahead=look)
    state = alone.loop.last()
    assert torch.equal(state.population.x, first.x)
    assert torch.equal(returned(alone.role, state.population, alone.loop.noise), best.tilt.reward.argmax(1))


def test_later_rounds_renoise_the_best() -> None:
    """A landing of a late round lies near the best before it: noise of size ``1 - t`` about ``t`` times that."""
    *_, before, after = states(rounds(100).loop)
    best = before.population.x[torch.arange(GROUPS), before.population.tilt.reward.argmax(1)]
    assert (after.population.x - best[:, None]).abs().max() < 0.1
    assert (after.population.x != best[:, None]).any()


def test_all_landings_of_a_later_round_descend_from_the_best() -> None:
    """They are renoised copies of it; no other noise of the start has left anything in them."""
    *_, before, after = states(rounds(5).loop)[:3]
    ancestor = before.population.ancestors.gather(1, before.population.tilt.reward.argmax(1, keepdim=True))
    assert (after.population.ancestors == ancestor).all()


def test_look_ahead_that_makes_no_samples_of_noise_is_refused() -> None:
    with pytest.raises(ValueError, match=r"mode=multi_best_of_n: works on the noise of a generator.*Denoiser"):
        fmtt.assemble(GAUSSIAN, QUADRATIC, mode=multi_best_of_n, look_ahead=fmtt.Denoiser)
