"""The meter that counts every call of a model and of a reward, and the seconds spent in them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import torch
from torch import Tensor

from fmtt.flow.batches import Batches, joined
from fmtt.flow.conditions import Encoded, rows
from fmtt.flow.faults import CallError, checked
from fmtt.flow.protocols import Flow, Reward

Mark = float | torch.cuda.Event
COUNTS = ("forward", "backward", "decode", "decode_backward", "reward", "reward_backward")


class Stopwatch:
    """Seconds between pairs of marks, without synchronising: CUDA events where there is CUDA, else the clock."""

    def __init__(self, device: torch.device):
        self._on_cuda = device.type == "cuda"
        self._seconds = 0.0
        self._pending: list[tuple[torch.cuda.Event, torch.cuda.Event]] = []

    def mark(self) -> Mark:
        if not self._on_cuda:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def add(self, start: Mark) -> None:
        """Add the time from ``start``, a :meth:`mark`, until now."""
        end = self.mark()
        if isinstance(start, float) and isinstance(end, float):
            self._seconds += end - start
        else:
            self._pending.append((start, end))  # type: ignore[arg-type]

    @property
    def seconds(self) -> float:
        """The sum so far; on CUDA this waits for the device."""
        if self._pending:
            torch.cuda.synchronize()
            self._seconds += sum(start.elapsed_time(end) for start, end in self._pending) / 1e3
            self._pending.clear()
        return self._seconds


@dataclass
class Meter:
    """The ledger of a run: evaluations of network, decoder and reward, forward and backward, one per row of a batch.

    ``nfe`` in every table is ``forward``; nothing is estimated. Seconds are those inside the calls, the reward's with
    its gradient.
    """

    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    def __post_init__(self) -> None:
        self.counts = dict.fromkeys(COUNTS, 0)
        self.forward_time, self.backward_time, self.decode_time, self.reward_time = (
            Stopwatch(self.device) for _ in range(4)
        )

    @property
    def forward(self) -> int:
        return self.counts["forward"]

    @property
    def backward(self) -> int:
        return self.counts["backward"]

    @property
    def reward(self) -> int:
        return self.counts["reward"]

    @property
    def seconds(self) -> float:
        """Seconds in the network and its decoder; on CUDA this waits for the device."""
        return self.forward_time.seconds + self.backward_time.seconds + self.decode_time.seconds

    @staticmethod
    def joined(parts: Sequence[Meter]) -> Meter:
        """The sum of the calls of several parts of a run, without their seconds."""
        total = Meter(parts[0].device)
        total.counts = {name: sum(part.counts[name] for part in parts) for name in COUNTS}
        return total

    def network(self, call: Callable[..., Tensor], evaluations: int, x: Tensor, *times: Tensor) -> Tensor:
        """``call(x, *times)``, counted forward and, if a gradient flows back through it, backward.

        ``evaluations`` is what one row costs.

        Raises:
            CallError: if the model raises, or does not return the shape of ``x``.
        """
        start = self.forward_time.mark()
        out = checked(call, "the model", x, *times)
        self.forward_time.add(start)
        if out.shape != x.shape:
            raise CallError(f"the model returned shape {tuple(out.shape)} for x of shape {tuple(x.shape)}")
        self._count("forward", "backward", self.backward_time, x, out, evaluations)
        return out

    def decoded(self, call: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        """``call(x)`` of a decoder, counted.

        Raises:
            CallError: if the decoder raises, or does not return one row for each row of ``x``.
        """
        start = self.decode_time.mark()
        out = checked(call, "the decoder", x)
        self.decode_time.add(start)
        if out.shape[:1] != x.shape[:1]:
            raise CallError(f"the decoder returned {tuple(out.shape)} for latents of shape {tuple(x.shape)}")
        self._count("decode", "decode_backward", self.decode_time, x, out)
        return out

    def rewards(self, call: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        """``call(x)`` of a reward, counted.

        Raises:
            CallError: if the reward raises, or does not return one number per sample.
        """
        start = self.reward_time.mark()
        out = checked(call, "the reward", x)
        self.reward_time.add(start)
        if out.shape != x.shape[:1]:
            raise CallError(f"a reward must return shape ({x.shape[0]},), got {tuple(out.shape)}")
        self._count("reward", "reward_backward", self.reward_time, x, out)
        return out

    def _count(self, forward: str, backward: str, watch: Stopwatch, x: Tensor, out: Tensor, each: int = 1) -> None:
        """Count one call, and its backward pass when a gradient arrives at ``out``, timed until it arrives at ``x``."""
        batch, marks = each * x.shape[0], list[Mark]()
        self.counts[forward] += batch
        if not (out.requires_grad and x.requires_grad):
            return

        def entered(gradient: Tensor) -> None:
            self.counts[backward] += batch
            marks.append(watch.mark())

        def left(gradient: Tensor) -> None:
            if marks:
                watch.add(marks.pop())

        out.register_hook(entered)
        x.register_hook(left)


@dataclass(frozen=True)
class MeteredModel:
    """A model whose calls are entered in ``meter``; what look-aheads and steps see.

    Attributes:
        flow: the record of the model.
        meter: the ledger.
        network: the type in which ``x`` is handed to the network.
        conditions: one entry for each prompt, or None.
        condition: those of the rows of one batch, or None.
    """

    flow: Flow
    meter: Meter
    network: torch.dtype = torch.float32
    conditions: Encoded | None = None
    condition: Encoded | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        return self.flow.shape

    def told(self, prompt: Tensor) -> MeteredModel:
        """The model for the rows of one batch, whose prompts have the numbers ``prompt (B,)``."""
        return self if self.conditions is None else replace(self, condition=rows(self.conditions, prompt))

    @property
    def velocity(self) -> Callable[[Tensor, Tensor], Tensor]:
        """None for a generator: see :func:`fmtt.flow.protocols.require_velocity`."""
        call = self.flow.velocity
        if call is None:
            return None  # type: ignore[return-value]
        return lambda x, t: self.meter.network(self._prepared(call), self.flow.evaluations.velocity, x, t)

    @property
    def flow_map(self) -> Callable[[Tensor, Tensor, Tensor], Tensor] | None:
        call = self.flow.flow_map
        if call is None:
            return None
        return lambda x, s, t: self.meter.network(self._prepared(call), self.flow.evaluations.flow_map, x, s, t)

    def decoded(self, x: Tensor, batches: Batches) -> Tensor:
        """What rewards see of ``x (G, N, *D)``; ``x`` itself without a decoder."""
        return self._seen(self.flow.decode, x, batches)

    def rendered(self, x: Tensor, batches: Batches) -> Tensor:
        """What people see of ``x (G, N, *D)``, by the best decoder; ``x`` itself without a decoder."""
        return self._seen(self.flow.render or self.flow.decode, x, batches)

    @torch.no_grad()
    def _seen(self, decode: Callable[[Tensor], Tensor] | None, x: Tensor, batches: Batches) -> Tensor:
        if decode is None:
            return x
        made = joined(batches.each(lambda part, _: self.meter.decoded(decode, part), x))
        return made.unflatten(0, x.shape[:2])

    def _prepared(self, call: Callable[..., Tensor]) -> Callable[..., Tensor]:
        """``call``, told the condition where there is one, in the type of the network."""
        if self.conditions is not None:
            if self.condition is None:
                raise ValueError("a model with conditions was called without being told the prompts of its rows")
            call = partial(call, condition=self.condition)
        if self.network in (torch.float32, torch.float64):
            return call
        return lambda x, *times: call(x.to(self.network), *times).to(x.dtype)

    @property
    def exact_flow_map(self) -> bool:
        return self.flow.exact_flow_map

    @property
    def data_only(self) -> bool:
        return self.flow.data_only

    @property
    def first_time(self) -> float:
        return self.flow.first_time

    @property
    def usual_error(self) -> float | None:
        return self.flow.usual_error


@dataclass(frozen=True)
class MeteredReward:
    """A reward at decoded samples, whose calls are entered in ``meter``; what the tilt sees.

    Attributes:
        reward: the record of the reward.
        meter: the ledger.
        decode: samples to what the reward sees, or None.
        conditions: one entry for each prompt, or None for a reward that is told nothing.
        condition: those of the rows of one batch, or None.
    """

    reward: Reward
    meter: Meter
    decode: Callable[[Tensor], Tensor] | None = None
    conditions: Encoded | None = None
    condition: Encoded | None = None

    def told(self, prompt: Tensor) -> MeteredReward:
        """The reward for the rows of one batch, whose prompts have the numbers ``prompt (B,)``."""
        return self if self.conditions is None else replace(self, condition=rows(self.conditions, prompt))

    def __call__(self, x: Tensor) -> Tensor:
        """``r(decode(x))``; ``(B, *D)`` to ``(B,)``."""
        seen = x if self.decode is None else self.meter.decoded(self.decode, x)
        told = self.reward.call
        if self.conditions is not None:
            if self.condition is None:
                raise ValueError("a reward with conditions was called without being told the prompts of its rows")
            told = partial(told, condition=self.condition)
        return self.meter.rewards(told, seen)
