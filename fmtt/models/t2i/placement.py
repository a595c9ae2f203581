"""Where the weights of a network are: on the device, or waiting on the CPU until their block is computed."""

from __future__ import annotations

import atexit
from collections.abc import Callable
from itertools import chain
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import CPUOffloadPolicy, FSDPModule, fully_shard

Place = Callable[[Any, torch.device, torch.dtype], Any]  # puts a network on a device, in a type


def placed(part: Any, device: torch.device, dtype: torch.dtype) -> Any:
    """A part of diffusers on ``device`` and in ``dtype``.

    The type is changed first: a device may hold the weights in ``dtype`` and not in the type of the file.
    """
    return in_type(part, dtype).to(device)


def waiting(part: Any, device: torch.device, dtype: torch.dtype) -> Any:
    """A part of diffusers that is computed on ``device``, and whose weights come from the CPU block by block.

    The device needs memory for one block and for the outermost layers. Each block is fetched again for the gradient.
    A part that waits already is left as it is.
    """
    if isinstance(part, FSDPModule):
        return part
    in_type(part, dtype)
    settings: Any = {
        "mesh": init_device_mesh(group_of_one(device).type, (1,)),
        "offload_policy": CPUOffloadPolicy(pin_memory=device.type == "cuda"),
    }
    for blocks in part.children():
        for block in blocks if isinstance(blocks, nn.ModuleList) else ():
            fully_shard(block, **settings)
    return fully_shard(part, **settings)


def in_type(part: Any, dtype: torch.dtype) -> Any:
    """A part in ``dtype``, but for the layers that diffusers itself keeps in float32."""
    kept = set(part._keep_in_fp32_modules or ())
    for name, value in chain(part.named_parameters(), part.named_buffers()):
        if value.is_floating_point() and kept.isdisjoint(name.split(".")):
            value.data = value.data.to(dtype)
    return part


def group_of_one(device: torch.device) -> torch.device:
    """``device``, once this process is the only one of a group, which is what the offloading of torch works on."""
    if not dist.is_initialized():
        dist.init_process_group(store=dist.HashStore(), rank=0, world_size=1)
        atexit.register(dist.destroy_process_group)
    return device
