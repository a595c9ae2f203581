"""What the networks of rewards share: the device of the pictures, weights from files, and a head."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn

Network = TypeVar("Network", bound=nn.Module)


def on(network: Network, device: torch.device) -> Network:
    """The network itself, on ``device``: see :meth:`fmtt.models.convolutional.ConvolutionalNetwork.on`."""
    return network if next(network.parameters()).device == device else network.to(device)


def frozen(network: Network) -> Network:
    return network.eval().requires_grad_(False)


def filled(network: Network, tensors: Mapping[str, Tensor], file: str) -> Network:
    """The frozen network with its weights from ``file``; every tensor of both is used.

    Raises:
        ValueError: if a tensor of the file is unknown, or one of the network is missing or has another shape.
    """
    wanted = network.state_dict()
    shared = wanted.keys() & tensors.keys()
    troubles = {
        "is unknown": tensors.keys() - shared,
        "is missing": wanted.keys() - shared,
        "has another shape": {name for name in shared if wanted[name].shape != tensors[name].shape},
    }
    for trouble, names in troubles.items():
        if names:
            raise ValueError(f"{file}: the tensor {min(names)} {trouble}")
    network.load_state_dict(dict(tensors))
    return frozen(network)


def renamed(name: str, parts: Sequence[tuple[str, str]]) -> str:
    """``name`` in which old parts are replaced by new ones, one after the other."""
    for old, new in parts:
        name = name.replace(old, new)
    return name


class Head(nn.Module):
    """Features ``(B, width)`` to scores ``(B, 1)``: the head of ImageReward and of LAION's aesthetic predictor.

    There is no activation between the layers. An identity stands for each dropout, since the names in files count
    them.
    """

    def __init__(self, width: int):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(width, 1024), nn.Identity(), nn.Linear(1024, 128), nn.Identity(), nn.Linear(128, 64),
            nn.Identity(), nn.Linear(64, 16), nn.Linear(16, 1),
        )  # fmt: skip

    def forward(self, features: Tensor) -> Tensor:
        return self.layers(features)
