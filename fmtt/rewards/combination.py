"""Combinations of rewards."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor

from fmtt.checks import finite
from fmtt.flow.protocols import as_reward, takes


class ScaledReward(Protocol):
    """A reward with its own ``scale``."""

    @property
    def scale(self) -> float: ...

    @property
    def __call__(self) -> Callable[..., Tensor]: ...


@dataclass(frozen=True)
class WeightedSum:
    """``r(x) = sum_i scale_i r_i(x)``. Terms that take a condition are told the prompts.

    Attributes:
        terms: named rewards, each with its own ``scale``.
        scale: multiplies the sum.
    """

    terms: Mapping[str, ScaledReward]
    scale: float = 1.0

    def __post_init__(self) -> None:
        finite("reward.scale", self.scale)
        if not self.terms:
            raise ValueError("reward.terms={}: needs at least one reward")
        for name, term in self.terms.items():
            if not callable(term):
                raise ValueError(f"reward.terms.{name}={term}: must be a reward")

    def encode_prompts(self, texts: Sequence[str]) -> Mapping[str, Tensor]:
        """What the terms encode of texts; ``<term>/<name>`` for a term that encodes several tensors."""
        found: dict[str, Tensor] = {}
        for name, term in self.terms.items():
            encode = as_reward(term).encode_prompts
            made: Any = {} if encode is None else encode(texts)
            found |= (
                {f"{name}/{key}": rows for key, rows in made.items()} if isinstance(made, Mapping) else {name: made}
            )
        return found

    def __call__(self, x: Tensor, condition: Any = None) -> Tensor:
        values = [told(term, condition, name)(x) for name, term in self.terms.items()]
        return torch.stack([term.scale * value for term, value in zip(self.terms.values(), values, strict=True)]).sum(0)

    def statistics(self, x: Tensor, condition: Any = None) -> dict[str, Tensor]:
        """Each term without its scale, as ``terms/<name>``, and the statistics of the terms; ``(B,)`` each."""
        shown = {f"terms/{name}": told(term, condition, name)(x) for name, term in self.terms.items()}
        for name, term in self.terms.items():
            measure = as_reward(term).statistics
            shown |= {} if measure is None else told(measure, condition, name)(x)
        return shown


def told(call: Callable[..., Any], condition: Any, name: str) -> Callable[[Tensor], Any]:
    """``call`` of the term ``name``, told its part of the condition of the sum if it takes one."""
    if condition is None or not takes(call, "condition"):
        return call
    if not isinstance(condition, Mapping):  # given by a caller of the library: for all terms alike
        return partial(call, condition=condition)
    several = {key.removeprefix(f"{name}/"): rows for key, rows in condition.items() if key.startswith(f"{name}/")}
    return partial(call, condition=condition.get(name, several))
