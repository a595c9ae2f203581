"""What a model is to the engine: a velocity, perhaps a flow map.

A model maps points ``x (B, *D)`` and times ``(B,)`` to points. ``b_t(x)`` is the velocity whose ODE carries noise
(t = 0) to data (t = 1), and ``X_{s,t}(x)`` the flow map of that ODE (arXiv 2511.22688, section 2).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor


@runtime_checkable
class Velocity(Protocol):
    """A model with a velocity; ``shape`` is the shape D of one sample."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def velocity(self, x: Tensor, t: Tensor) -> Tensor:
        """``b_t(x)``, ``(B, *D)``, for ``x (B, *D)`` and ``t (B,)``."""
        ...


@runtime_checkable
class FlowMap(Velocity, Protocol):
    """A model that also knows its flow map."""

    def flow_map(self, x: Tensor, s: Tensor, t: Tensor) -> Tensor:
        """``X_{s,t}(x)``, ``(B, *D)``, for ``x (B, *D)`` and ``s <= t (B,)``; ``X_{t,t}`` is the identity."""
        ...


@dataclass(frozen=True)
class Flow:
    """A model made of plain functions, for use as a library.

    Attributes:
        shape: shape D of one sample.
        velocity: ``(x, t) -> b_t(x)``.
        flow_map: ``(x, s, t) -> X_{s,t}(x)``, if there is one.
        usual_error: its own :func:`fmtt.tilt.typicality.usual_error`, if it is known.
    """

    shape: tuple[int, ...]
    velocity: Callable[[Tensor, Tensor], Tensor]
    flow_map: Callable[[Tensor, Tensor, Tensor], Tensor] | None = None
    usual_error: float | None = None


def require_flow_map(model: Velocity, who: str, instead: str) -> FlowMap:
    """``model`` itself.

    Raises:
        ValueError: if it has no flow map, saying ``who`` needs one and what can be used ``instead``.
    """
    if getattr(model, "flow_map", None) is None:
        raise ValueError(f"{who} needs a flow map, and the model has a velocity only; use {instead}")
    return model  # type: ignore[return-value]


def in_chunks(call: Callable[..., Tensor], x: Tensor, times: Sequence[float], chunk: int) -> Tensor:
    """``call(x, *times)`` of a population ``x (G, N, *D)``, at most ``chunk`` particles at once; ``(G, N, *D)``."""
    parts = [call(part, *(part.new_full(part.shape[:1], t) for t in times)) for part in x.flatten(0, 1).split(chunk)]
    return torch.cat(parts).reshape(x.shape)
