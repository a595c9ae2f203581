"""Where the networks of a model are, in which precision, and whether they are compiled."""

from __future__ import annotations

from typing import Any

import torch
from omegaconf import DictConfig
from torch import nn

from fmtt.flow.precision import precision_of
from fmtt.flow.protocols import Velocity, as_movable
from fmtt.run.memory import SAFE, free_memory, gib
from fmtt.run.memory_hints import Settings, hints_for_weights
from fmtt.run.memory_weights import taken_in, tensors_of


def placed(model: Any, device: torch.device, config: DictConfig, settings: Settings) -> Velocity:
    """The model on a device, as ``precision`` and ``offload`` say.

    On the CPU nothing says that the memory runs out: the machine ends the process. So what a wider type takes there is
    compared with what is free, before.

    Raises:
        ValueError: if the model cannot do that, or does not fit into memory.
    """
    if config.offload and config.compile:
        raise ValueError("compile=true: cannot be combined with offload=true")
    put, dtype = offloaded if config.offload else moved, precision_of(config.precision).network
    more = taken_in(model, dtype) - sum(value.nbytes for value in tensors_of(model))
    if device.type == "cpu" and more > SAFE * free_memory(device):
        raise ValueError(heavy(model, dtype, settings))
    try:
        found = put(model, device, dtype)
    except torch.OutOfMemoryError as error:
        raise ValueError(heavy(model, dtype, settings)) from error
    return found


def heavy(model: Any, dtype: torch.dtype, settings: Settings) -> str:
    """What a user is told whose device does not hold the weights of a model."""
    free, needed = free_memory(settings.device), taken_in(model, dtype)
    return (
        f"memory: the weights of the model need {gib(needed)} and do not fit, and {gib(free)} are free on"
        f" {settings.device}{hints_for_weights(settings)}"
    )


def offloaded(model: Any, device: torch.device, dtype: torch.dtype) -> Velocity:
    """The model on a device, the weights of its networks on the CPU.

    Raises:
        ValueError: if the model cannot do that.
    """
    move = as_movable(model).offloaded
    if move is None:
        raise ValueError("offload=true: only text-to-image models can do that")
    return move(device, dtype)


def moved(model: Any, device: torch.device, dtype: torch.dtype) -> Velocity:
    """The model on a device, its networks in ``dtype``; a model without :meth:`to` works on the device of its input."""
    move = as_movable(model).to
    return model if move is None else move(device, dtype)


def to_compile(model: Any, config: DictConfig) -> tuple[nn.Module, ...]:
    """The networks of a model that are to be compiled. That is done last: torch gives up on a network that it has seen
    while its memory was measured.

    Raises:
        ValueError: if the model has none.
    """
    networks = as_movable(model).networks
    if config.compile and not networks:
        raise ValueError("compile=true: this model has no network")
    return tuple(networks) if config.compile else ()
