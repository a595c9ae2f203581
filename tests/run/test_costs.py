"""Costs are measured from calls whose seconds are known."""

import time
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

import fmtt
from fmtt.flow.protocols import Flow
from fmtt.run.costs import measured_costs, settings_of

FORWARD, REWARD, DECODE = 0.01, 0.03, 0.005  # seconds of a call


class Slow(torch.autograd.Function):
    """The identity, which takes ``forward`` seconds on its way and ``backward`` on the way back."""

    @staticmethod
    def forward(ctx, x: Tensor, forward: float, backward: float) -> Tensor:
        ctx.seconds = backward
        time.sleep(forward)
        return x.clone()

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None, None]:
        time.sleep(ctx.seconds)
        return gradient, None, None


MODEL = Flow(
    (2,), lambda x, t: Slow.apply(x, FORWARD, 2 * FORWARD), flow_map=lambda x, s, t: x,
    decode=lambda x: Slow.apply(x, DECODE, 0.0),
)  # fmt: skip


def costs(reward: Callable[[Tensor], Tensor], model: Flow = MODEL) -> dict[str, float]:
    run = fmtt.assemble(model, reward, groups=1, particles=1, steps=1)
    return measured_costs(run, "32-true", rows=4, rounds=5)[1]


def test_costs_are_those_of_each_call() -> None:
    found = costs(lambda x: Slow.apply(x, REWARD, REWARD).sum(1))
    expected = {"forward": 1, "backward": 2, "decode": DECODE / FORWARD, "decode_backward": 0,
                "reward": REWARD / FORWARD, "reward_backward": REWARD / FORWARD}  # fmt: skip
    assert list(found) == list(expected)
    assert found == pytest.approx(expected, rel=0.2, abs=0.2)


def test_what_is_not_there_costs_nothing() -> None:
    found = costs(lambda x: Slow.apply(x, REWARD, REWARD).sum(1).detach(), replace(MODEL, decode=None))
    assert list(found) == ["forward", "backward", "reward"]
    assert settings_of({"forward": 1.0, "backward": 1.037, "reward": 3.0}) == (
        "budget.backward_cost=1.04 budget.reward_cost=3.00"
    )
