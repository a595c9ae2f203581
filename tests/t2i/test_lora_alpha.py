"""Alphas of LoRA files: of tensors and of metadata, or the file is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import FluxPipeline
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from safetensors.torch import save_file
from torch import Tensor

from fmtt.models.t2i.flux import with_two_times
from fmtt.models.t2i.lora import load_lora, read_lora
from tests.t2i.tiny import flux_transformer

pytestmark = pytest.mark.filterwarnings("ignore")
TIME, QUERY, KEY = (
    "time_text_embed.second_embedder.timestep_embedder.linear_1",
    "transformer_blocks.0.attn.to_q",
    "transformer_blocks.0.attn.to_k",
)
RANKS = {TIME: 4, QUERY: 2, KEY: 4}
SETTINGS = {"transformer.r": 4, "transformer.lora_alpha": 6, "transformer.rank_pattern": {"attn.to_q": 2}}


def adapted(more: dict[str, Any]) -> tuple[torch.nn.Module, dict[str, Tensor]]:
    """A transformer with a random LoRA of peft, and its tensors without alphas."""
    transformer = with_two_times(flux_transformer())
    config = LoraConfig(
        r=4, lora_alpha=6, rank_pattern={"attn.to_q": 2}, target_modules=list(RANKS), init_lora_weights=False, **more
    )
    torch.manual_seed(5)
    transformer.add_adapter(config)
    tensors = {f"transformer.{name}": value.clone() for name, value in get_peft_model_state_dict(transformer).items()}
    return transformer, tensors


def found_and_expected(path: Path, scales: dict[str, float]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The weights with a file, and those without it changed by ``scale * up @ down``."""
    merged, plain = load_lora(with_two_times(flux_transformer()), read_lora(path), path), flux_transformer()
    found, before = dict(merged.named_parameters()), dict(with_two_times(plain).named_parameters())
    _, tensors = adapted({})
    for layer, scale in scales.items():
        down, up = (tensors[f"transformer.{layer}.lora_{part}.weight"] for part in "AB")
        before[f"{layer}.weight"] = before[f"{layer}.weight"] + scale * up @ down
    return found, before


def test_the_settings_of_peft_are_those_that_it_was_trained_with(tmp_path: Path) -> None:
    """Patterns are for the ends of names."""
    transformer, tensors = adapted({"alpha_pattern": {"to_k": 3, "linear_1": 10}})
    settings = transformer.peft_config["default"].to_dict() | {"target_modules": list(RANKS)}
    layers = {name.removeprefix("transformer."): value for name, value in tensors.items()}
    FluxPipeline.save_lora_weights(tmp_path, layers, transformer_lora_adapter_metadata=settings)
    path = tmp_path / "pytorch_lora_weights.safetensors"
    torch.testing.assert_close(*found_and_expected(path, {TIME: 10 / 4, QUERY: 6 / 2, KEY: 3 / 4}))
    transformer.fuse_lora()
    transformer.unload_lora()
    merged = dict(load_lora(with_two_times(flux_transformer()), read_lora(path), path).named_parameters())
    for name, value in transformer.named_parameters():
        torch.testing.assert_close(merged[name], value, msg=name)


def test_alphas_stand_beside_the_matrices(tmp_path: Path) -> None:
    """Then metadata do not count; a layer without is taken as it is."""
    _, tensors = adapted({})
    save_file(tensors | {f"transformer.{QUERY}.alpha": torch.tensor(7.0)}, tmp_path / "one")
    torch.testing.assert_close(*found_and_expected(tmp_path / "one", {TIME: 1, QUERY: 7 / 2, KEY: 1}))
    own = {f"transformer.{layer}.alpha": torch.tensor(7.0).half() for layer in RANKS}
    save_file(tensors | own, tmp_path / "all", {"ss_network_alpha": "None", "ss_network_args": "conv_lora_alpha"})
    torch.testing.assert_close(*found_and_expected(tmp_path / "all", {TIME: 7 / 4, QUERY: 7 / 2, KEY: 7 / 4}))


@pytest.mark.parametrize("name", ["alpha", "lora_alpha", "network_alpha", "ss_network_alpha"])
def test_metadata_may_have_one_alpha_for_all_layers(tmp_path: Path, name: str) -> None:
    _, tensors = adapted({})
    save_file(tensors | {f"transformer.{QUERY}.alpha": torch.tensor([7.0])}, tmp_path / "it", {name: "8", "step": "9"})
    torch.testing.assert_close(*found_and_expected(tmp_path / "it", {TIME: 8 / 4, QUERY: 7 / 2, KEY: 8 / 4}))


def test_without_any_alpha_it_is_the_rank(tmp_path: Path) -> None:
    _, tensors = adapted({})
    save_file(tensors, tmp_path / "it", {"format": "pt"})
    torch.testing.assert_close(*found_and_expected(tmp_path / "it", dict.fromkeys(RANKS, 1.0)))


def settings(**changes: Any) -> dict[str, str]:
    return {"lora_adapter_metadata": json.dumps(SETTINGS | {f"transformer.{key}": changes[key] for key in changes})}


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        (settings(use_rslora=True), "lora_adapter_metadata has transformer.use_rslora=True"),
        (settings(use_dora=True), "lora_adapter_metadata has transformer.use_dora=True"),
        (settings(init_lora_weights="pissa"), "lora_adapter_metadata has transformer.init_lora_weights=pissa"),
        (settings(r=8), f"lora_adapter_metadata has another rank for transformer.{TIME}, which has 4"),
        (settings(rank_pattern={}), f"lora_adapter_metadata has another rank for transformer.{QUERY}, which has 2"),
        (settings(lora_alpha="much"), "could not convert string to float: 'much'"),
        (settings(lora_alpha=None), "float"),
        (settings(rank_pattern={"(": 2}), "missing ), unterminated subpattern"),
        ({"lora_adapter_metadata": '{"lora_alpha": 6, "r": 4}'}, "has no transformer.lora_alpha"),
        ({"lora_adapter_metadata": "6"}, "'int' object is not iterable"),
        ({"lora_adapter_metadata": "{"}, "Expecting property name"),
        ({"alpha": "much"}, "could not convert string to float: 'much'"),
        ({"alpha": "8", "lora_alpha": "16"}, "alpha and lora_alpha differ"),
        ({"alpha_of_time": "8"}, "alpha_of_time speaks of alpha"),
        ({"config": '{"lora_alpha": 8}'}, "config speaks of alpha"),
    ],
)
def test_metadata_that_are_not_understood_are_refused(tmp_path: Path, metadata: dict[str, str], reason: str) -> None:
    _, tensors = adapted({})
    save_file(tensors, tmp_path / "it.safetensors", metadata)
    with pytest.raises(ValueError) as caught:
        read_lora(tmp_path / "it.safetensors")
    line = str(caught.value)
    assert line.startswith(f"model.lora={tmp_path / 'it.safetensors'}: its metadata are not understood: ")
    assert reason in line and "\n" not in line
