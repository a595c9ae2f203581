"""A run beside its own calls: all are found, with the gradients that were taken, and what else takes time is seen."""

from __future__ import annotations

import time
from functools import partial

import pytest
import torch
from torch import Tensor

import fmtt
from fmtt.flow.meter import Meter
from fmtt.flow.protocols import Flow
from fmtt.studies.floor import overhead, recorded, replay

SECONDS = 0.004
seen: list[str] = []


class Slow(torch.autograd.Function):
    """The identity, which takes a while on its way and on the way back."""

    @staticmethod
    def forward(ctx, x: Tensor, name: str) -> Tensor:
        ctx.name = name
        seen.append(name)
        time.sleep(SECONDS)
        return x.clone()

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:
        seen.append(f"{ctx.name} back")
        time.sleep(SECONDS)
        return gradient, None


MODEL = Flow(
    (2,), lambda x, t: Slow.apply(x, "velocity"), flow_map=lambda x, s, t: Slow.apply(x, "map"),
    decode=lambda x: Slow.apply(x, "decode"),
)  # fmt: skip


def run_of(mode: str, idle: float = 0.0) -> fmtt.Run:
    def reward(x: Tensor) -> Tensor:
        return Slow.apply(x, "reward").sum(1)

    run = fmtt.assemble(
        MODEL, reward, mode=getattr(fmtt.modes, mode), steps=4, groups=1, particles=4,
        look_ahead=partial(fmtt.FlowMapJumps, steps=2),
    )  # fmt: skip
    if idle:
        move = run.loop.last
        object.__setattr__(run.loop, "last", lambda: (time.sleep(idle), move())[1])
    return run


@pytest.mark.parametrize("mode", ["search", "importance", "noise_opt", "best_of_n"])
def test_the_replay_makes_the_calls_and_gradients_of_the_run(mode: str) -> None:
    run, plain = run_of(mode), Meter.network
    seen.clear()
    with recorded() as calls, torch.no_grad():
        fmtt.finish(run, run.loop.last())
    assert Meter.network is plain
    whole = sorted(seen)
    seen.clear()
    replay(calls)
    assert sorted(seen) == whole and len(whole) > 6


def test_what_is_not_a_call_is_overhead() -> None:
    calls = overhead(lambda: run_of("importance"), 3).calls
    found = overhead(lambda: run_of("importance", idle=0.5 * calls), 3)
    assert found.share == pytest.approx(found.run / found.calls - 1, abs=0.15)
    assert 0.4 < found.share < 0.9
