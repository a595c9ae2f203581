"""LoRA files in networks of diffusers: every key is used, or the file is refused.

A LoRA changes a weight to ``W + alpha / rank * up @ down``. It is merged here and not by peft, which fills what a file
lacks at random. And in diffusers, alphas of a kohya file that differ do not reach its layers of attention.
"""

from __future__ import annotations

import json
import re
from collections.abc import Container, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from fmtt.models.checkpoints import fingerprints, sketch_of

PREFIX = "transformer."
SHOWN = 3  # keys in a message
DOWN, UP, ALPHA = ".lora_A.weight", ".lora_B.weight", ".alpha"  # ends of the keys of a layer
DOWNS = (DOWN, ".lora.down.weight", ".lora_down.weight")  # the first of them as peft, diffusers and kohya name it
SETTINGS = "lora_adapter_metadata"  # where diffusers keeps the settings of peft
ALPHAS = ("alpha", "lora_alpha", "network_alpha", "ss_network_alpha")  # metadata: one alpha for all layers
OTHER_PRODUCTS = ("use_rslora", "use_dora", "use_qalora")  # settings of peft by which it adds something else
STARTS = (None, True, False, "gaussian", "eva", "orthogonal")  # ``init_lora_weights`` that leave W as it is


def read_lora(path: str | Path | None, published: str = "a LoRA") -> dict[str, Tensor]:
    """The tensors of a file. An alpha that its metadata have for a layer NAME becomes a tensor ``NAME.alpha``.

    ``published`` says where people find such a file, and its licence.

    Raises:
        ValueError: if there is no file, it cannot be read, or its metadata are not understood.
    """
    if path is None or not Path(path).is_file():
        problem = "must be a file" if path is None else "there is no such file"
        raise ValueError(f"model.lora={'null' if path is None else path}: {problem}, such as {published}")
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (it is no mapping)
            metadata = file.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise ValueError(f"model.lora={path}: is not a safetensors file that can be read") from error
    fingerprints[str(Path(path).resolve())] = sketch_of(tensors)
    ranks = {layer_of(key): len(value) for key, value in tensors.items() if layer_of(key) and value.ndim}
    bare = {name: rank for name, rank in ranks.items() if name + ALPHA not in tensors}
    try:
        alphas = alphas_in(metadata, bare) if bare else {}
    except (TypeError, ValueError, re.error) as error:
        raise ValueError(f"model.lora={path}: its metadata are not understood: {error}") from error
    return tensors | {name + ALPHA: torch.tensor(alpha) for name, alpha in alphas.items()}


def layer_of(key: str) -> str:
    """The layer of a first matrix, as the file names it; nothing for other keys."""
    return next((key.removesuffix(end) for end in DOWNS if key.endswith(end)), "")


def alphas_in(metadata: Mapping[str, str], ranks: Mapping[str, int]) -> dict[str, float]:
    """What metadata say of the alphas of layers; nothing if they say nothing.

    Args:
        metadata: of the file.
        ranks: those of the layers without an alpha of their own.

    Raises:
        TypeError, ValueError, re.error: if they say it in a way that is not known.
    """
    speaking = [key for key, value in sorted(metadata.items()) if "alpha" in key or "lora_alpha" in value]
    strange = [key for key in speaking if key not in (SETTINGS, *ALPHAS)]
    if strange:
        raise ValueError(f"{strange[0]} speaks of alpha")
    if SETTINGS in metadata:
        settings = dict(json.loads(metadata[SETTINGS]))
        return {name: alpha_of(settings, name, rank) for name, rank in ranks.items()}
    found = {float(metadata[key]) for key in speaking}
    if len(found) > 1:
        raise ValueError(f"{' and '.join(speaking)} differ")
    return {name: alpha for name in ranks for alpha in found}


def alpha_of(settings: Mapping[str, Any], name: str, rank: int) -> float:
    """The alpha of a layer by the settings of peft; their names begin with the network's, as that of the layer does.

    Raises:
        TypeError, ValueError, re.error: if they do not give it, have another rank, or more than ``alpha / rank``.
    """
    network, _, layer = name.partition(".")
    own = {key.removeprefix(f"{network}."): value for key, value in settings.items() if key.startswith(f"{network}.")}
    if "lora_alpha" not in own:
        raise ValueError(f"{SETTINGS} has no {network}.lora_alpha")
    others = [key for key in OTHER_PRODUCTS if own.get(key)]
    others += [key for key in ["init_lora_weights"] if own.get(key) not in STARTS]
    if others:
        raise ValueError(f"{SETTINGS} has {network}.{others[0]}={own[others[0]]}")
    if setting_of(own, "rank_pattern", "r", layer) != rank:
        raise ValueError(f"{SETTINGS} has another rank for {name}, which has {rank}")
    return float(setting_of(own, "alpha_pattern", "lora_alpha", layer))


def setting_of(settings: Mapping[str, Any], patterns: str, usual: str, layer: str) -> Any:
    """The value for the first pattern that is the end of a layer's name, as peft reads them; else the usual one."""
    found = settings.get(patterns) or {}
    return next((found[end] for end in found if re.match(rf"(.*\.)?({end})$", layer)), settings.get(usual))


def load_lora(transformer: Any, tensors: Mapping[str, Tensor], path: str | Path) -> Any:
    """The transformer with the LoRA merged into its weights, frozen.

    Raises:
        ValueError: as :func:`merged`.
    """
    places = {key: key.removeprefix(PREFIX) if key.startswith(PREFIX) else "" for key in tensors}
    return merged(transformer, tensors, places, path).eval().requires_grad_(False)


@torch.no_grad()
def merged(network: Any, tensors: Mapping[str, Tensor], places: Mapping[str, str], path: str | Path) -> Any:
    """The network with a LoRA merged into its weights.

    Args:
        network: of diffusers.
        tensors: of the file.
        places: what each key is for: ``LAYER.lora_A.weight`` (down), ``LAYER.lora_B.weight`` (up) or ``LAYER.alpha``,
            which is the rank if there is none. Other words are for keys of another form.
        path: of the file.

    Raises:
        ValueError: if keys belong to no part of the network, with their number and the first of them; if a layer has
            one matrix alone, has one twice, or is of another shape; or if the LoRA changes nothing.
    """
    weights = {name.removesuffix(".weight"): one for name, one in network.named_parameters() if name.endswith("weight")}
    homes = {key: home(place, weights) for key, place in places.items()}
    unknown = [key for key, (layer, _) in homes.items() if not layer]
    if unknown:
        raise ValueError(
            f"model.lora={path}: {len(unknown)} of {len(tensors)} keys belong to no part of"
            f" {type(network).__name__}: {listed(unknown)}"
        )
    if len(set(homes.values())) < len(homes):
        raise ValueError(f"model.lora={path}: two of its keys are for the same matrix")
    found: dict[str, dict[str, Tensor]] = {}
    for key, (layer, end) in homes.items():
        found.setdefault(layer, {})[end] = tensors[key]
    changes = False
    for layer, parts in found.items():
        added = product(parts, weights[layer], f"model.lora={path}: {layer}")
        weights[layer].copy_(weights[layer].float() + added.to(weights[layer].device))  # is rounded once
        changes |= bool(added.any())
    if not changes:
        raise ValueError(f"model.lora={path}: changes nothing")
    return network


def home(place: str, layers: Container[str]) -> tuple[str, str]:
    """The layer of a place and its end; the layer is empty if there is none such."""
    end = next((end for end in (DOWN, UP, ALPHA) if place.endswith(end)), "")
    layer = place.removesuffix(end)
    return (layer if end and layer in layers else ""), end


def product(parts: Mapping[str, Tensor], weight: Tensor, name: str) -> Tensor:
    """``alpha / rank * up @ down`` in the shape of a weight ``(out, in, ...)``.

    Args:
        parts: down ``(rank, in, ...)``, up ``(out, rank)``, which may have further dimensions of size 1, and alpha.
        weight: what it is added to.
        name: of the layer, for errors.

    Raises:
        ValueError: if a matrix is missing, shapes do not fit, or the product is not finite.
    """
    if not {DOWN, UP} <= parts.keys():
        raise ValueError(f"{name} has {', '.join(end[1:] for end in parts)} alone, needs {DOWN[1:]} and {UP[1:]}")
    down, up, alpha = parts[DOWN], parts[UP], parts.get(ALPHA)
    line = f"{name} has matrices {tuple(down.shape)} and {tuple(up.shape)} for a weight {tuple(weight.shape)}"
    if min(down.ndim, up.ndim, weight.ndim) < 2 or not down.numel() or (alpha is not None and alpha.numel() != 1):
        raise ValueError(line)
    rank, first, second = len(down), down.flatten(1).float(), up.flatten(1).float()
    if (len(second), second.shape[1], first.shape[1]) != (len(weight), rank, weight[0].numel()):
        raise ValueError(line)
    scale = 1.0 if alpha is None else alpha.item() / rank
    added = scale * second @ first
    if not added.isfinite().all():
        raise ValueError(f"{name} is not finite")
    return added.reshape(weight.shape)


def listed(keys: Sequence[str]) -> str:
    """The first of some keys, and how many more there are."""
    more = len(keys) - SHOWN
    return ", ".join(keys[:SHOWN]) + (f" and {more} more" if more > 0 else "")
