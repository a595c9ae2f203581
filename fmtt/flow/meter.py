"""The meter that counts every call of a model and of a reward, and the seconds spent in them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from fmtt.flow.model import Velocity

Mark = float | torch.cuda.Event


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


def time_backward(x: Tensor, out: Tensor, watch: Stopwatch) -> None:
    """Add to ``watch`` the time from the arrival of the gradient at ``out`` to its arrival at ``x``."""
    marks: list[Mark] = []

    def left(gradient: Tensor) -> None:
        if marks:
            watch.add(marks.pop())

    x.register_hook(left)
    out.register_hook(lambda gradient: marks.append(watch.mark()))


@dataclass
class Meter:
    """The ledger of a run: evaluations of the network, forward and backward, and of the reward, one per particle.

    ``nfe`` in every table is ``forward``; nothing is estimated. Seconds are those inside the calls, the reward's with
    its gradient.
    """

    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    def __post_init__(self) -> None:
        self.forward = self.backward = self.reward = 0
        self.forward_time, self.backward_time, self.reward_time = (Stopwatch(self.device) for _ in range(3))

    def network(self, call: Callable[..., Tensor], x: Tensor, *times: Tensor) -> Tensor:
        """``call(x, *times)``, counted forward and, if a gradient flows back through it, backward."""
        batch = x.shape[0]
        start = self.forward_time.mark()
        out = call(x, *times)
        self.forward_time.add(start)
        self.forward += batch
        if out.shape != x.shape:
            raise ValueError(f"the model returned shape {tuple(out.shape)} for x of shape {tuple(x.shape)}")
        if out.requires_grad and x.requires_grad:
            time_backward(x, out, self.backward_time)
            out.register_hook(lambda gradient: self._count_backward(batch))
        return out

    def _count_backward(self, batch: int) -> None:
        self.backward += batch

    def rewards(self, call: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        """``call(x)``, counted.

        Raises:
            ValueError: if the reward does not return one number per sample.
        """
        start = self.reward_time.mark()
        out = call(x)
        self.reward_time.add(start)
        self.reward += x.shape[0]
        if out.requires_grad and x.requires_grad:
            time_backward(x, out, self.reward_time)
        if out.shape != x.shape[:1]:
            raise ValueError(f"a reward must return shape ({x.shape[0]},), got {tuple(out.shape)}")
        return out


@dataclass(frozen=True)
class MeteredModel:
    """A model whose calls are entered in ``meter``; what the look-aheads and the dynamics see."""

    model: Velocity
    meter: Meter

    @property
    def shape(self) -> tuple[int, ...]:
        return self.model.shape

    def velocity(self, x: Tensor, t: Tensor) -> Tensor:
        return self.meter.network(self.model.velocity, x, t)

    @property
    def flow_map(self) -> Callable[[Tensor, Tensor, Tensor], Tensor] | None:
        call = getattr(self.model, "flow_map", None)
        return None if call is None else lambda x, s, t: self.meter.network(call, x, s, t)

    @property
    def usual_error(self) -> float | None:
        return getattr(self.model, "usual_error", None)


@dataclass(frozen=True)
class MeteredReward:
    """A reward whose calls are entered in ``meter``."""

    reward: Callable[[Tensor], Tensor]
    meter: Meter

    def __call__(self, x: Tensor) -> Tensor:
        return self.meter.rewards(self.reward, x)
