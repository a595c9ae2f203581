"""A run beside its own calls of network, decoder and reward, replayed alone: how much of its time is something else."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple
from unittest.mock import patch

import torch
from torch import Tensor

from fmtt.api import Run, finish
from fmtt.flow.meter import Meter


@dataclass
class Call:
    """A call of a run.

    Attributes:
        function: what was called.
        x: its samples.
        others: its further arguments.
        graph: whether a graph was kept for a gradient.
        back: whether a gradient went back through it.
    """

    function: Callable[..., Tensor]
    x: Tensor
    others: tuple[Tensor, ...] = ()
    graph: bool = False
    back: bool = False


class Overhead(NamedTuple):
    """Seconds of a run and of its calls alone, and the median over rounds of what the run takes more, as a share."""

    run: float
    calls: float
    share: float


@contextmanager
def recorded() -> Iterator[list[Call]]:
    """All calls that the meters of runs count meanwhile, in their order."""
    calls: list[Call] = []
    network, decoded, rewards = Meter.network, Meter.decoded, Meter.rewards

    def entered(function: Callable[..., Tensor], out: Tensor, x: Tensor, *others: Tensor) -> Tensor:
        call = Call(function, x.detach(), others, graph=out.requires_grad)
        calls.append(call)
        if out.requires_grad:
            out.register_hook(lambda gradient: setattr(call, "back", True))
        return out

    def of_network(
        meter: Meter, function: Callable[..., Tensor], evaluations: int, x: Tensor, *times: Tensor
    ) -> Tensor:
        return entered(function, network(meter, function, evaluations, x, *times), x, *times)

    def of_decoder(meter: Meter, function: Callable[..., Tensor], x: Tensor) -> Tensor:
        return entered(function, decoded(meter, function, x), x)

    def of_reward(meter: Meter, function: Callable[..., Tensor], x: Tensor) -> Tensor:
        return entered(function, rewards(meter, function, x), x)

    with patch.multiple(Meter, network=of_network, decoded=of_decoder, rewards=of_reward):
        yield calls


def replay(calls: list[Call]) -> None:
    """The calls again, one by one, with the gradients that went back through them."""
    for call in calls:
        x = call.x.clone().requires_grad_(call.graph) if call.graph else call.x
        with torch.set_grad_enabled(call.graph):
            out = call.function(x, *call.others)
        if call.back:
            torch.autograd.grad(out, x, torch.ones_like(out))


def overhead(make: Callable[[], Run], rounds: int) -> Overhead:
    """Runs that ``make`` assembles and their calls, in turn, ``rounds`` times."""

    def whole() -> None:
        run = make()
        with torch.no_grad():
            finish(run, run.loop.last())

    with recorded() as calls:
        whole()
    replay(calls)  # once to warm up
    pairs = [(seconds(whole), seconds(lambda: replay(calls))) for _ in range(rounds)]
    run, alone = (statistics.median(times) for times in zip(*pairs, strict=True))
    return Overhead(run, alone, statistics.median(one / other - 1 for one, other in pairs))


def seconds(task: Callable[[], None]) -> float:
    """How long ``task`` takes."""
    begun = time.perf_counter()
    task()
    return time.perf_counter() - begun
