"""Weights on disk: safetensors, with the network's class and arguments in the header."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from fmtt.files import sha256, write_whole

Network = TypeVar("Network", bound=nn.Module)
BUNDLED = Path(__file__).parent / "bundled"
SEAL = "sha256/header"
fingerprints: dict[str, str] = {}  # of all weights that this process has loaded: hashes of files, or sketches
SKETCHED = 64  # numbers of a tensor in a sketch


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
    header = {
        "architecture": type(net).__name__,
        "arguments": json.dumps(arguments),
        "card": json.dumps(card),
        "sha256": hash_of(tensors),
    }
    header[SEAL] = seal_of(header)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    write_whole(Path(path), save(tensors, metadata=header))


def seal_of(header: Mapping[str, str]) -> str:
    """The hash of what a header says of the network."""
    return hashlib.sha256(f"{header['architecture']} {header['arguments']} {header.get('sha256')}".encode()).hexdigest()


def hash_of(tensors: Mapping[str, Tensor]) -> str:
    """The hash of the content of tensors, in the order of their names."""
    found = hashlib.sha256()
    for name in sorted(tensors):
        found.update(f"{name} {tensors[name].dtype} {tuple(tensors[name].shape)}".encode())
        found.update(tensors[name].contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return found.hexdigest()


def sketch_of(tensors: Mapping[str, Tensor]) -> str:
    """The hash of names, types, shapes and some numbers of tensors: it tells large networks apart in no time."""
    few = {}
    for name, tensor in tensors.items():
        flat = tensor.detach().flatten()
        places = torch.linspace(0, max(len(flat) - 1, 0), min(SKETCHED, len(flat))).long()
        few[f"{name} {tuple(tensor.shape)}"] = flat[places.to(flat.device)]
    return hash_of({name: values.cpu() for name, values in few.items()})


def bundled_hashes() -> dict[str, str]:
    """The hash of each bundled file, by its name."""
    lines = (BUNDLED / "SHA256SUMS").read_text().splitlines()
    return {name: hashed for hashed, name in (line.split() for line in lines)}


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
    fingerprints[str(file.resolve())] = sha256(file)
    try:
        if file.parent == BUNDLED and bundled_hashes()[file.name] != fingerprints[str(file.resolve())]:
            raise OSError("its content has another hash; install fmtt again")
        with safe_open(str(file), framework="pt") as handle:
            header = handle.metadata() or {}
            tensors = {name: handle.get_tensor(name) for name in handle.keys()}  # noqa: SIM118
        if header.get("sha256") not in (None, hash_of(tensors)) or header.get(SEAL) not in (None, seal_of(header)):
            raise OSError("its content has another hash")
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
