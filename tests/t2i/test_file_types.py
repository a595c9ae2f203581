"""The largest networks are loaded in the type of their files, so that they need no more memory than these."""

from __future__ import annotations

from pathlib import Path

import huggingface_hub
import pytest
import torch
from diffusers import Flux3Transformer2DModel, FluxTransformer2DModel
from huggingface_hub.errors import LocalEntryNotFoundError
from safetensors.torch import load_file, save_file

from fmtt.models.t2i.file_types import NAME, type_in
from fmtt.models.t2i.lora import merged
from fmtt.models.t2i.weights import Published
from tests.t2i.tiny import flux3_transformer, flux_transformer

pytestmark = pytest.mark.filterwarnings("ignore")


def saved(folder: Path, dtype: torch.dtype, **options: str) -> Published:
    flux_transformer().to(dtype).save_pretrained(folder / "transformer", **options)
    return Published(str(folder), "none", gated=False, download=False)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("options", [{}, {"max_shard_size": "20KB"}], ids=["one file", "several"])
def test_a_network_has_the_type_of_its_file(tmp_path: Path, dtype: torch.dtype, options: dict[str, str]) -> None:
    weights = saved(tmp_path, dtype, **options)
    assert (len(list((tmp_path / "transformer").glob("*.safetensors"))) > 1) == bool(options)
    network = weights.backbone_in(FluxTransformer2DModel, "transformer")
    assert {value.dtype for value in network.parameters()} == {dtype}
    expected = flux_transformer().to(dtype).state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in network.state_dict().items())


def test_files_of_several_types_are_read_in_float32(tmp_path: Path) -> None:
    saved(tmp_path, torch.bfloat16)
    path = tmp_path / "transformer" / NAME
    tensors = load_file(path)
    name = next(iter(tensors))
    save_file(tensors | {name: tensors[name].float(), "count": torch.ones(1, dtype=torch.int64)}, path)
    assert type_in(str(tmp_path), "transformer", download=False) == torch.float32
    save_file(tensors | {"count": torch.ones(1, dtype=torch.int64)}, path)
    assert type_in(str(tmp_path), "transformer", download=False) == torch.bfloat16


def test_layers_that_diffusers_keeps_in_float32_do_not_count(tmp_path: Path) -> None:
    """Files that diffusers itself wrote after loading in bfloat16 have these layers in float32."""
    apart = set(Flux3Transformer2DModel._keep_in_fp32_modules)
    network = flux3_transformer(flow_map=True).to(torch.bfloat16)
    network.save_pretrained(tmp_path / "transformer")
    path = tmp_path / "transformer" / NAME
    tensors = {key: value.float() if apart & set(key.split(".")) else value for key, value in load_file(path).items()}
    assert {value.dtype for value in tensors.values()} == {torch.float32, torch.bfloat16}
    save_file(tensors, path, {"format": "pt"})
    weights = Published(str(tmp_path), "none", gated=False, download=False)
    loaded = weights.backbone_in(Flux3Transformer2DModel, "transformer")
    for key, value in loaded.named_parameters():
        assert value.dtype == (torch.float32 if apart & set(key.split(".")) else torch.bfloat16), key


@pytest.mark.parametrize("download", [False, True])
def test_files_of_the_hub_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, download: bool) -> None:
    saved(tmp_path, torch.bfloat16, max_shard_size="20KB")
    asked = []

    def fetch(repository: str, name: str, subfolder: str | None, local_files_only: bool) -> str:
        asked.append((repository, subfolder, local_files_only))
        path = tmp_path / str(subfolder) / name
        if not path.is_file():
            raise LocalEntryNotFoundError(name)
        return str(path)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fetch)
    assert type_in("some/model", "transformer", download) == torch.bfloat16
    assert set(asked) == {("some/model", "transformer", not download)} and len(asked) > 3


def test_what_cannot_be_read_is_left_to_the_loader(tmp_path: Path) -> None:
    weights = saved(tmp_path, torch.bfloat16)
    path = tmp_path / "transformer" / NAME
    path.write_bytes(path.read_bytes()[:7])
    assert type_in(str(tmp_path), "transformer", download=False) == torch.float32
    with pytest.raises(ValueError, match="has no transformer that can be read"):
        weights.backbone_in(FluxTransformer2DModel, "transformer")
    assert type_in("nobody/nothing", "transformer", download=False) == torch.float32


def test_a_lora_is_rounded_once() -> None:
    """A change below the rounding of its own type would be lost if it were rounded before it is added."""
    net = torch.nn.Linear(1, 1, bias=False)
    net.weight.data = torch.tensor([[1.0]])
    net = net.to(torch.bfloat16)
    step = 2.0**-7  # of bfloat16 above 1
    parts = {"a.lora_A.weight": torch.tensor([[1.0]]), "a.lora_B.weight": torch.tensor([[step * 0.5005]])}
    places = {"a.lora_A.weight": ".lora_A.weight", "a.lora_B.weight": ".lora_B.weight"}
    holder = torch.nn.ModuleDict({"a": net})
    named = {key: f"a{end}" for key, end in places.items()}
    assert merged(holder, parts, named, "it")["a"].weight.item() == 1 + step
