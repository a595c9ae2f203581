"""Weights from a folder; what is missing gets one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from transformers import Qwen2VLImageProcessor, Qwen3VLProcessor
from transformers.models.qwen3_vl.video_processing_qwen3_vl import Qwen3VLVideoProcessor

from fmtt.models.t2i import weights
from fmtt.models.t2i.flux3 import load_flux3_klein
from fmtt.run.cli import main
from tests.t2i.tiny import LAYERS, TEMPLATE, Processor, flux3_transformer, flux3_vae, qwen3_vl

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the layout of the published one."""
    folder = tmp_path_factory.mktemp("klein")
    flux3_transformer().save_pretrained(folder / "transformer")
    flux3_vae().save_pretrained(folder / "vae")
    qwen3_vl().save_pretrained(folder / "text_encoder")
    parts = {"image_processor": Qwen2VLImageProcessor(), "video_processor": Qwen3VLVideoProcessor()}
    Qwen3VLProcessor(**parts, tokenizer=Processor().tokenizer, chat_template=TEMPLATE).save_pretrained(
        folder / "tokenizer"
    )
    return folder


def test_a_folder_is_a_model_whose_encoder_comes_and_goes(repository: Path) -> None:
    model = load_flux3_klein(str(repository), height=16, width=24)
    told = model.encode_prompts(["a cat", "a dog"])
    assert told["text"].shape == (2, 80, 16 * len(LAYERS)) and told["length"].tolist() == [80, 80]
    x, s = torch.randn(2, 16, 4, 6), torch.zeros(2)
    expected = load_flux3_klein(str(repository), height=16, width=24).flow_map(x, s, s + 1, told)
    assert torch.equal(model.flow_map(x, s, s + 1, told), expected)
    assert not any(parameter.requires_grad for parameter in model.transformer.parameters())
    assert torch.is_grad_enabled()


def test_a_run_from_the_command_line(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    words = [
        "model=flux3_klein", f"model.repository={repository}", "model.height=16", "model.width=24",
        "lookahead=flowmap1", "reward=symmetry", "mode=search", 'prompt=["a cat","a dog"]', "population.groups=1",
        "population.particles=2", "sampler.steps=2", "logger=none", f"hydra.run.dir={tmp_path}",
    ]  # fmt: skip
    monkeypatch.setattr("sys.argv", ["run.py", *words])
    assert main() == 0, capsys.readouterr().err
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["nfe/decode"] > 0 and metrics["population/prompts"] == 2
    assert (tmp_path / "pictures" / "1.png").is_file()


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
