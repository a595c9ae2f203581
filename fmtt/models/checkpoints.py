"""Weights on disk: safetensors, with the network's class and arguments in the header."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TypeVar

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

Network = TypeVar("Network", bound=nn.Module)
BUNDLED = Path(__file__).parent / "bundled"


class CheckpointError(ValueError):
    """A checkpoint does not exist, is damaged, or holds another network. The message is one line for the user."""


def save_network(net: nn.Module, arguments: dict[str, object], path: Path | str, card: dict[str, object]) -> None:
    """Write weights and buffers as float16 (integers keep their type), with the class and arguments of the network.

    Args:
        net: the network.
        arguments: keyword arguments of its class.
        path: the file to write.
        card: how the network was made, such as command, seed and time; must be JSON.
    """
    state = net.state_dict()
    tensors = {name: (v.half() if v.is_floating_point() else v).contiguous() for name, v in state.items()}
    header = {"architecture": type(net).__name__, "arguments": json.dumps(arguments), "card": json.dumps(card)}
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_bytes(save(tensors, metadata=header))


def load_network(path: Path | str, *kinds: type[Network]) -> Network:
    """The frozen network in file ``path``, or in the bundled file of that name. Its class must be one of ``kinds``.

    Raises:
        CheckpointError: if there is no such file, it is damaged, or it holds another network.
    """
    file = Path(path)
    if not file.is_file() and (BUNDLED / f"{path}.safetensors").is_file():
        file = BUNDLED / f"{path}.safetensors"
    if not file.is_file():
        bundled = ", ".join(sorted(entry.stem for entry in BUNDLED.glob("*.safetensors")))
        raise CheckpointError(f"checkpoint '{path}' does not exist; give the path of a file or one of {bundled}")
    try:
        with safe_open(str(file), framework="pt") as handle:
            header = handle.metadata() or {}
            tensors = {name: handle.get_tensor(name) for name in handle.keys()}  # noqa: SIM118
        name = header.get("architecture", "none")
        kind = next((kind for kind in kinds if kind.__name__ == name), None)
        if kind is None:
            wanted = " or ".join(f"'{kind.__name__}'" for kind in kinds)
            raise CheckpointError(f"checkpoint '{path}' holds a network '{name}', where {wanted} is needed")
        net = kind(**json.loads(header["arguments"]))
        net.load_state_dict(tensors)
    except (SafetensorError, KeyError, TypeError, RuntimeError, OSError, json.JSONDecodeError) as error:
        reason = str(error).splitlines()[0]
        raise CheckpointError(f"checkpoint '{path}' is damaged or not one of ours: {reason}") from error
    return net.eval().requires_grad_(False)


def read_card(path: Path | str) -> dict[str, object]:
    """The ``card`` that :func:`save_network` wrote."""
    with safe_open(str(path), framework="pt") as handle:
        return json.loads(handle.metadata()["card"])
