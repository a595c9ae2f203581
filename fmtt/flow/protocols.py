"""What models and rewards are: the call that each must have, and everything that they may offer beside it.

This is the only place that looks for optional attributes. :func:`as_flow` and :func:`as_reward` turn any object into a
record in which what is missing is None, and the rest of the package reads the records.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from fmtt.flow.conditions import Encoded
from fmtt.flow.schedules import Grid


class Velocity(Protocol):
    """A model with a velocity; ``shape`` is the shape D of one sample.

    A model that is told about prompts takes one more argument, ``condition``: see :mod:`fmtt.flow.conditions`.
    """

    @property
    def shape(self) -> tuple[int, ...]: ...

    def velocity(self, x: Tensor, t: Tensor) -> Tensor:
        """``b_t(x)``, ``(B, *D)``, for ``x (B, *D)`` and ``t (B,)``."""
        ...


class FlowMap(Velocity, Protocol):
    """A model that also knows its flow map."""

    def flow_map(self, x: Tensor, s: Tensor, t: Tensor) -> Tensor:
        """``X_{s,t}(x)``, ``(B, *D)``, for ``x (B, *D)`` and ``s <= t (B,)``; ``X_{t,t}`` is the identity."""
        ...


class Verdict(NamedTuple):
    """What an evaluator says of samples.

    Attributes:
        label: the class of each, ``(B,)``.
        sure: whether it is clearly one, ``(B,)``.
    """

    label: Tensor
    sure: Tensor


class Evaluator(Protocol):
    """Sorts decoded samples ``(B, *D)`` into ``classes``; its features serve Frechet distances and diversity."""

    classes: ClassVar[int]

    def __call__(self, x: Tensor) -> Verdict: ...

    def features(self, x: Tensor) -> Tensor:
        """``(B, F)``."""
        ...


class Evaluations(NamedTuple):
    """Network evaluations of one call: two for a velocity with classifier-free guidance."""

    velocity: int = 1
    flow_map: int = 1


@dataclass(frozen=True)
class Flow:
    """A model made of plain functions, and what every model is turned into.

    With conditions, ``velocity`` and ``flow_map`` are called with the keyword ``condition``: one row for each row of
    the batch.

    Attributes:
        shape: shape D of one sample.
        velocity: ``(x, t) -> b_t(x)``; None for a generator, which has a flow map alone.
        flow_map: ``(x, s, t) -> X_{s,t}(x)``, if there is one.
        decode: samples ``(B, *D)`` to what rewards and people see, such as pictures ``(B, C, H, W)``; differentiable.
        render: the same by a better decoder, for the final samples; None where ``decode`` is the best.
        encode: the other way, for editing.
        encode_prompts: texts to what ``condition`` holds, one row each: a tensor or a mapping of tensors.
        evaluations: what a call costs.
        grid: its own time grid, such as the noise levels of its pipeline; None for a uniform one.
        first_time: when its trajectories begin, from noise times 1 - first_time: noise levels may end at a finite one.
        exact_flow_map: whether ``flow_map`` is that of ``velocity`` itself, not a learned one.
        data_only: whether ``flow_map`` knows t = 1 only.
        chunk: the largest batch that suits the model; None for any.
        usual_error: its own :func:`fmtt.tilt.typicality.usual_error`, if it is known.
        unfit_precisions: words of :mod:`fmtt.flow.precision` in which its network gives no numbers.
        evaluator: grades decoded samples; no reward uses it.
        law: the law of the samples, a :class:`fmtt.models.analytic.MixtureLaw`, where it is known; for a model with
            conditions a function of one condition.
        caution: what to know about it before results are believed, on one line; None: nothing.
    """

    shape: tuple[int, ...]
    velocity: Callable[..., Tensor] | None = None
    flow_map: Callable[..., Tensor] | None = None
    decode: Callable[[Tensor], Tensor] | None = None
    render: Callable[[Tensor], Tensor] | None = None
    encode: Callable[[Tensor], Tensor] | None = None
    encode_prompts: Callable[[Sequence[str]], Encoded] | None = None
    evaluations: Evaluations = Evaluations()
    grid: Grid | None = None
    first_time: float = 0.0
    exact_flow_map: bool = False
    data_only: bool = False
    chunk: int | None = None
    usual_error: float | None = None
    unfit_precisions: frozenset[str] = frozenset()
    evaluator: Evaluator | None = None
    law: Any = None
    caution: str | None = None

    def __post_init__(self) -> None:
        if self.velocity is None and self.flow_map is None:
            raise ValueError("the model has neither a velocity nor a flow map")

    @property
    def called(self) -> Callable[..., Tensor]:
        """Its velocity, or the flow map of a generator."""
        call = self.velocity or self.flow_map
        assert call is not None
        return call

    @property
    def conditional(self) -> bool:
        """Whether the model can be told a condition."""
        return takes(self.called, "condition")

    @property
    def needs_condition(self) -> bool:
        """Whether the model cannot be called without a condition."""
        return requires(self.called, "condition")

    def decoded_shape(self, device: torch.device | str = "cpu") -> tuple[int, ...]:
        """The shape of what rewards and people see of one sample."""
        if self.decode is None:
            return tuple(self.shape)
        with torch.no_grad():
            return tuple(self.decode(torch.zeros(1, *self.shape, device=device)).shape[1:])


@dataclass(frozen=True)
class Movable:
    """How a model is put on a device. A formula has no networks, and works on the device of its input.

    Attributes:
        networks: those that take another precision, and can be compiled.
        to: device and precision of the networks to the model there; None for a formula.
        offloaded: the same, but the weights wait on the CPU; None if the model cannot do that.
    """

    networks: Sequence[nn.Module] = ()
    to: Callable[[torch.device, torch.dtype], Velocity] | None = None
    offloaded: Callable[[torch.device, torch.dtype], Velocity] | None = None


@dataclass(frozen=True)
class Reward:
    """A reward and what it may offer beside its call.

    Attributes:
        call: decoded samples ``(B, *D)`` to ``(B,)``; called with the keyword ``condition`` if it takes that.
        scale: multiplies the reward; 1 for plain functions.
        encode_prompts: texts to what ``condition`` holds, one row each.
        statistics: ``(B, *D)`` to named values ``(B,)`` that a table shows beside the reward.
        upper: no reward is larger; needed for draws by rejection.
        real: gives real samples ``(M, *D)`` of the kind that the reward asks for, or None where this machine has none.
        quadratic_form: dimension d to ``(P, l, c)`` with ``r(x) = -x.P x / 2 + l.x + c``, for closed forms.
    """

    call: Callable[..., Tensor]
    scale: float = 1.0
    encode_prompts: Callable[[Sequence[str]], Encoded] | None = None
    statistics: Callable[[Tensor], Mapping[str, Tensor]] | None = None
    upper: float | None = None
    real: Callable[[], Tensor | None] | None = None
    quadratic_form: Callable[[int], tuple[Tensor, Tensor, float]] | None = None

    @property
    def conditional(self) -> bool:
        """Whether the reward can be told a condition."""
        return takes(self.call, "condition")

    @property
    def needs_condition(self) -> bool:
        """Whether the reward cannot be called without a condition."""
        return requires(self.call, "condition")


def as_flow(model: Velocity) -> Flow:
    """The record of a model."""
    return Flow(**offered(model, Flow))


def as_movable(model: Velocity) -> Movable:
    """The record of the networks of a model."""
    return Movable(**offered(model, Movable))


def as_reward(reward: Callable[..., Tensor]) -> Reward:
    """The record of a reward."""
    return Reward(**(offered(reward, Reward) | {"call": reward}))


def offered(owner: object, record: type[Flow | Movable | Reward]) -> dict[str, Any]:
    """The attributes of a model or a reward that a record has fields for."""
    return {field.name: getattr(owner, field.name) for field in fields(record) if hasattr(owner, field.name)}


def takes(function: Callable[..., Any], name: str) -> bool:
    """Whether a function, or the ``forward`` of a module, can be called with a keyword of this name."""
    known = parameters(function)
    return name in known or any(entry.kind is entry.VAR_KEYWORD for entry in known.values())


def requires(function: Callable[..., Any], name: str) -> bool:
    """Whether a function has a parameter of this name without a default."""
    parameter = parameters(function).get(name)
    return parameter is not None and parameter.default is parameter.empty


def parameters(function: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    """The parameters of a function, or of the ``forward`` of a module."""
    return inspect.signature(getattr(function, "forward", function)).parameters


def require_flow_map(model: Velocity, user: str, instead: str) -> FlowMap:
    """``model`` itself.

    Raises:
        ValueError: if it has no flow map, saying that the ``user`` needs one, and what can be used ``instead``.
    """
    if as_flow(model).flow_map is None:
        raise ValueError(f"{user} needs a flow map, and the model has a velocity only; use {instead}")
    return model  # type: ignore[return-value]


def refuse_data_only(model: Velocity, setting: str, instead: str) -> None:
    """For users of flow maps to times before the data.

    Raises:
        ValueError: if the flow map of the model knows t = 1 only, with the ``setting`` and what to use ``instead``.
    """
    if as_flow(model).data_only:
        raise ValueError(f"{setting}: the flow map of this model goes to the data only; use {instead}")


def require_velocity(model: Velocity, user: str, instead: str) -> Velocity:
    """``model`` itself.

    Raises:
        ValueError: if it has no velocity, saying that the ``user`` needs one, and what can be used ``instead``.
    """
    if as_flow(model).velocity is None:
        raise ValueError(f"{user} needs a velocity, and the model is a generator without one; use {instead}")
    return model
