"""Weights from a folder; what is missing gets one line."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from diffusers import Flux3Transformer2DModel

from fmtt.models.t2i import weights
from fmtt.models.t2i.flux3 import load_flux3_klein
from fmtt.models.t2i.placement import placed
from tests.t2i.tiny import LAYERS

pytestmark = pytest.mark.filterwarnings("ignore")


def test_a_folder_is_a_model_whose_encoder_comes_and_goes(klein: str) -> None:
    model = load_flux3_klein(klein, height=16, width=24)
    told = model.encode_prompts(["a cat", "a dog"])
    assert told["text"].shape == (2, 80, 16 * len(LAYERS)) and told["length"].tolist() == [80, 80]
    x, s = torch.randn(2, 16, 4, 6), torch.zeros(2)
    expected = load_flux3_klein(klein, height=16, width=24).flow_map(x, s, s + 1, told)
    assert torch.equal(model.flow_map(x, s, s + 1, told), expected)
    assert not any(parameter.requires_grad for parameter in model.transformer.parameters())
    assert torch.is_grad_enabled()


def test_weights_that_are_not_there_get_one_line(tmp_path: Path) -> None:
    line = r"black-forest-labs/flux-3-image-klein: the transformer is not on this machine \(licence FLUX Non-Commercial"
    with pytest.raises(ValueError, match=line) as caught:
        load_flux3_klein()
    assert "hf auth login" in str(caught.value) and "model.download=true" in str(caught.value)
    with pytest.raises(ValueError, match=f"model.repository={tmp_path}: has no transformer that can be read"):
        load_flux3_klein(str(tmp_path))


def test_without_the_extra_one_line_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(weights.importlib, "import_module", missing)
    with pytest.raises(ValueError, match="need diffusers, of the extra t2i: make setup-t2i"):
        load_flux3_klein()


def test_layers_that_diffusers_keeps_in_float32_stay_so(klein: str) -> None:
    """As in a pipeline that is loaded in bfloat16."""
    expected = Flux3Transformer2DModel.from_pretrained(klein, subfolder="transformer", torch_dtype=torch.bfloat16)
    model = load_flux3_klein(klein, height=16, width=24).to(torch.device("cpu"), torch.bfloat16)
    types = {name: value.dtype for name, value in model.transformer.named_parameters()}
    assert types == {name: value.dtype for name, value in expected.named_parameters()}
    assert set(types.values()) == {torch.bfloat16, torch.float32}
    x, s = torch.randn(1, 16, 4, 6).bfloat16(), torch.zeros(1)
    told = model.encode_prompts(["a cat"])
    found = model.average(x, s, s + 1, told)
    model.transformer = expected
    assert torch.equal(found, model.average(x, s, s + 1, told))


def test_weights_go_to_the_device_in_the_wanted_type() -> None:
    """Not in that of the file: FLUX.1 in float32 needs twice the memory of the device."""
    types: list[torch.dtype] = []

    class Part(torch.nn.Linear):
        _keep_in_fp32_modules = None

        def to(self, *given: torch.device) -> Part:
            types.append(self.weight.dtype)
            return super().to(*given)

    made = placed(Part(2, 2), torch.device("cpu"), torch.bfloat16)
    assert types == [torch.bfloat16] == [made.weight.dtype]
