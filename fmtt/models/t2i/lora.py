"""LoRA files in transformers of diffusers: every key is used, or the file is refused."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

PREFIX = "transformer."
ENDS = (".lora_A.weight", ".lora_B.weight")


def read_lora(path: str | Path) -> dict[str, Tensor]:
    """The tensors of a file.

    Raises:
        ValueError: if it cannot be read.
    """
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise ValueError(f"model.lora={path}: is not a safetensors file that can be read") from error


def load_lora(transformer: Any, tensors: Mapping[str, Tensor], path: str | Path) -> Any:
    """The transformer with the LoRA merged into its weights, frozen.

    Raises:
        ValueError: if a key belongs to no part of the transformer, or the LoRA changes nothing.
    """
    modules = dict(transformer.named_modules())
    for key in tensors:
        place = key.removeprefix(PREFIX)
        name = place.removesuffix(ENDS[0]).removesuffix(ENDS[1])
        if not key.startswith(PREFIX) or name == place or name not in modules:
            raise ValueError(f"model.lora={path}: the key {key} belongs to no part of {type(transformer).__name__}")
    if not any(value.any() for key, value in tensors.items() if key.endswith(ENDS[1])):
        raise ValueError(f"model.lora={path}: changes nothing")
    transformer.load_lora_adapter(dict(tensors), prefix="transformer")
    transformer.fuse_lora()
    transformer.unload_lora()
    return transformer.eval().requires_grad_(False)
