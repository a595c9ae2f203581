"""In which type numbers are kept in published files of diffusers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

TYPES = {"BF16": torch.bfloat16, "F16": torch.float16}  # as the headers of files name them
WHOLE = {"I8", "I16", "I32", "I64", "U8", "U16", "U32", "U64", "BOOL"}
NAME = "diffusion_pytorch_model.safetensors"


def type_in(repository: str, folder: str, download: bool, apart: Sequence[str] = ()) -> torch.dtype:
    """The type of all floating-point numbers of a network; float32 where they have several, and for files of torch.

    Args:
        repository: on the hub, or a folder of the same layout.
        folder: where the network is.
        download: whether what is not on this machine may be fetched.
        apart: names of layers that have a type of their own, and do not count.
    """
    found: set[str] = set()
    try:
        for path in shards(repository, folder, download):
            with safe_open(path, framework="pt") as file:
                keys = [key for key in file.keys() if not set(apart) & set(key.split("."))]  # noqa: SIM118 (no mapping)
                found |= {file.get_slice(key).get_dtype() for key in keys}
    except (OSError, SafetensorError, ValueError, KeyError):
        return torch.float32  # the loader says what is wrong
    kinds = found - WHOLE
    return TYPES.get(kinds.pop(), torch.float32) if len(kinds) == 1 else torch.float32


def shards(repository: str, folder: str, download: bool) -> list[Path]:
    """The files of a network.

    Raises:
        OSError, ValueError, KeyError: if they are not there, or their index cannot be read.
    """
    try:
        return [local(repository, folder, NAME, download)]
    except OSError:
        index = json.loads(local(repository, folder, f"{NAME}.index.json", download).read_text())
        return [local(repository, folder, name, download) for name in sorted(set(index["weight_map"].values()))]


def local(repository: str, folder: str, name: str, download: bool) -> Path:
    """The path of a file on this machine.

    Raises:
        OSError: if it is not there.
    """
    if Path(repository).is_dir():
        path = Path(repository) / folder / name
        if not path.is_file():
            raise FileNotFoundError(path)
        return path
    fetch = import_module("huggingface_hub").hf_hub_download
    return Path(fetch(repository, name, subfolder=folder or None, local_files_only=not download))
