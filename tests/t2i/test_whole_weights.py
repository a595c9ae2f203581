"""Networks have the weights of their files: what is missing, foreign or of another shape is refused, not drawn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, EulerDiscreteScheduler, FluxTransformer2DModel
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import (
    CLIPTextModel,
    Qwen3ForCausalLM,
    Qwen3Model,
    T5Config,
    T5EncoderModel,
    T5ForConditionalGeneration,
)

from fmtt.models.t2i.flux import load_flux_schnell
from fmtt.models.t2i.flux3 import load_flux3_klein
from fmtt.models.t2i.flux_ahead import load_flux_ahead
from fmtt.models.t2i.generator import load_generator
from fmtt.models.t2i.hunyuan_image import load_hunyuan_image
from fmtt.models.t2i.pipelines import load_pipeline
from fmtt.models.t2i.sana_sprint import load_sana_sprint
from fmtt.models.t2i.sdxl_lcm import load_sdxl_lcm
from fmtt.models.t2i.tiny_decoders import with_tiny_decoder
from fmtt.models.t2i.weights import Published
from fmtt.rewards.t2i.clip import load_clip
from fmtt.rewards.vlm.reward import LogOdds
from tests.t2i import tiny
from tests.t2i.test_tiny_decoders import flux
from tests.t2i.test_tiny_decoders import tiny as tiny_decoder
from tests.t2i.tiny import moved
from tests.t2i.tiny_hunyuan_image import hunyuan_transformer, hunyuan_vae
from tests.t2i.tiny_pipelines import qwen3_config, qwen_image_transformer, qwen_image_vae
from tests.t2i.tiny_rewards import clip, clip_folder
from tests.t2i.tiny_sana_sprint import encoders, save_sana_sprint
from tests.t2i.tiny_unet import save
from tests.t2i.tiny_vlm import save_vlm

pytestmark = pytest.mark.filterwarnings("ignore")


def published(folder: Path | str) -> Published:
    return Published(str(folder), "none", gated=False, download=False)


def edit(folder: Path, change: Callable[[dict[str, Tensor]], object]) -> None:
    """Change the tensors of the file in a folder."""
    (path,) = folder.glob("*.safetensors")
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path, {"format": "pt"})


def first(folder: Path) -> str:
    """A key of the file in a folder that no other weight is tied to."""
    (path,) = folder.glob("*.safetensors")
    return min(key for key in load_file(path) if "embed" not in key and "shared" not in key)


def equal(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    found, expected = one.state_dict(), other.state_dict()
    return found.keys() == expected.keys() and all(torch.equal(found[key], expected[key]) for key in expected)


@pytest.fixture
def flux_1(tmp_path: Path) -> Path:
    """A folder with a tiny FLUX.1."""
    parts = (tiny.flux_transformer(), tiny.flux_vae(), *tiny.clip_and_t5())
    for name, part in zip(("transformer", "vae", "text_encoder", "text_encoder_2"), parts, strict=True):
        part.save_pretrained(tmp_path / name)
    for name, longest in {"tokenizer": 20, "tokenizer_2": 40}.items():
        tiny.plain_tokenizer(longest).save_pretrained(tmp_path / name)
    tiny.scheduler().save_pretrained(tmp_path / "scheduler")
    return tmp_path


def load(folder: Path) -> Mapping[str, Tensor]:
    """What the encoders make of a text; they are loaded when it comes, after the networks."""
    return load_flux_schnell(str(folder), 16, 24).encode_prompts(["a cat"])


def test_networks_have_the_values_that_were_saved(flux_1: Path, klein: str) -> None:
    model = load_flux_schnell(str(flux_1), 16, 24)
    assert equal(model.transformer, tiny.flux_transformer()) and equal(model.latents.vae, tiny.flux_vae())
    kinds = {"text_encoder": CLIPTextModel, "text_encoder_2": T5EncoderModel}
    for (folder, kind), saved in zip(kinds.items(), tiny.clip_and_t5(), strict=True):
        assert equal(published(flux_1).network_in(kind, folder, dtype="auto", spare=True), saved)
    other = load_flux3_klein(klein, height=16, width=24)
    assert equal(other.transformer, tiny.flux3_transformer()) and equal(other.latents.vae, tiny.flux3_vae())
    qwen = tiny.qwen3_vl()
    assert equal(published(klein).network_in(type(qwen), "text_encoder", dtype="auto", spare=True), qwen)


NAMES = {
    "transformer": "FluxTransformer2DModel",
    "vae": "AutoencoderKL",
    "text_encoder": "CLIPTextModel",
    "text_encoder_2": "T5EncoderModel",
}


@pytest.mark.parametrize("name", NAMES)
def test_missing_weights_are_refused(flux_1: Path, name: str) -> None:
    load(flux_1)
    key = first(flux_1 / name)
    edit(flux_1 / name, lambda tensors: tensors.pop(key))
    line = f"^model.repository={flux_1}: the {name} lacks 1 of the weights of {NAMES[name]}, the first is {key}$"
    with pytest.raises(ValueError, match=line):
        load(flux_1)


@pytest.mark.parametrize("name", NAMES)
def test_weights_of_another_shape_are_refused(flux_1: Path, name: str) -> None:
    key = first(flux_1 / name)
    edit(flux_1 / name, lambda tensors: tensors.update({key: torch.zeros(3)}))
    line = rf"^model.repository={flux_1}: the {name} has {key} of shape \(3,\), must be \(\d+,( \d+)*\)$"
    with pytest.raises(ValueError, match=line):
        load(flux_1)


@pytest.mark.parametrize("name", ["transformer", "vae"])
def test_tensors_without_a_place_are_refused(flux_1: Path, name: str) -> None:
    """They are those of another configuration, such as the blocks of a deeper network."""
    edit(flux_1 / name, lambda tensors: tensors.update(second=torch.zeros(1), first=torch.zeros(1)))
    line = f"^model.repository={flux_1}: the {name} has 2 tensors that {NAMES[name]} does not use, the first is first$"
    with pytest.raises(ValueError, match=line):
        load(flux_1)


@pytest.mark.parametrize("name", ["text_encoder", "text_encoder_2"])
def test_files_of_text_encoders_may_hold_more(flux_1: Path, name: str) -> None:
    before = load(flux_1)
    edit(flux_1 / name, lambda tensors: tensors.update(lm_head=torch.zeros(1), position_ids=torch.zeros(1, 20)))
    torch.testing.assert_close(load(flux_1), before, rtol=0, atol=0)


def test_encoders_are_found_in_whole_models_and_tied_weights_are_not_missing(tmp_path: Path) -> None:
    """Each has the values that it has there."""
    t5 = T5Config(vocab_size=12, pad_token_id=10, d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2)
    wholes: dict[str, tuple[Any, Any, Callable[[Any], torch.nn.Module]]] = {
        "t5": (moved(T5ForConditionalGeneration(t5)), T5EncoderModel, lambda whole: whole.encoder),
        "clip": (clip(), CLIPTextModel, lambda whole: whole.text_model),
        "qwen": (moved(Qwen3ForCausalLM(qwen3_config())), Qwen3Model, lambda whole: whole.model),
    }
    for name, (whole, kind, part_of) in wholes.items():
        whole.save_pretrained(tmp_path / name)
        found = published(tmp_path).network_in(kind, name, dtype="auto", spare=True)
        expected = part_of(whole)
        assert equal(found.encoder if name == "t5" else found, expected)
    config = qwen3_config()
    config.tie_word_embeddings = True
    tied = moved(Qwen3ForCausalLM(config))
    tied.save_pretrained(tmp_path / "tied")
    assert equal(published(tmp_path).network_in(Qwen3ForCausalLM, "tied", spare=True), tied)


def test_old_names_of_the_attention_of_autoencoders_are_known(tmp_path: Path) -> None:
    vae, old = tiny.flux_vae(), {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    vae.save_pretrained(tmp_path / "vae")

    def rename(tensors: dict[str, Tensor]) -> None:
        for key in [key for key in tensors if ".attentions." in key]:
            name = next((name for name in old if f".{name}." in key), None)
            if name is not None:
                tensors[key.replace(name, old[name])] = tensors.pop(key)

    edit(tmp_path / "vae", rename)
    (path,) = (tmp_path / "vae").glob("*.safetensors")
    assert sum(f".{name}.weight" in key for key in load_file(path) for name in old.values()) == 8
    assert equal(published(tmp_path).network_in(AutoencoderKL, "vae"), vae)


@pytest.mark.parametrize("name", NAMES)
def test_a_broken_file_gets_one_line(flux_1: Path, name: str) -> None:
    (path,) = (flux_1 / name).glob("*.safetensors")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match=f"^model.repository={flux_1}: has no {name} that can be read$"):
        load(flux_1)


def test_the_line_names_the_setting_and_parts_without_weights_have_none(tmp_path: Path) -> None:
    tiny.flux_transformer().save_pretrained(tmp_path)
    edit(tmp_path, lambda tensors: tensors.clear())
    others = Published(str(tmp_path), "none", gated=False, download=False, setting="model.ahead")
    with pytest.raises(ValueError, match=rf"^model.ahead={tmp_path}: the network lacks \d\d of the weights of Flux"):
        others.network_in(FluxTransformer2DModel, "")
    EulerDiscreteScheduler(num_train_timesteps=7).save_pretrained(tmp_path / "scheduler")
    assert others.part(EulerDiscreteScheduler, "scheduler").config.num_train_timesteps == 7


Case = tuple[Callable[[], object], list[str]]  # what loads a model, and the folders of its networks


def klein_case(folder: Path) -> Case:
    repository = tiny.save_klein(folder / "one")
    tiny.flux3_transformer(flow_map=False).save_pretrained(folder / "base" / "transformer")
    names = ["one/transformer", "one/vae", "one/text_encoder", "base/transformer"]
    settings = {"base": str(folder / "base"), "height": 16, "width": 24}
    return lambda: load_flux3_klein(repository, **settings).encode_prompts(["a cat"]), names


def flux_ahead_case(folder: Path) -> Case:
    for name, guidance in {"dev": True, "schnell": False}.items():
        tiny.flux_transformer(guidance).save_pretrained(folder / name / "transformer")
    tiny.flux_vae().save_pretrained(folder / "dev" / "vae")
    tiny.scheduler().save_pretrained(folder / "dev" / "scheduler")
    names = ["dev/transformer", "dev/vae", "schnell/transformer"]
    return lambda: load_flux_ahead(str(folder / "dev"), str(folder / "schnell"), 16, 24), names


def hunyuan_case(folder: Path) -> Case:
    hunyuan_transformer().save_pretrained(folder / "transformer")
    hunyuan_vae().save_pretrained(folder / "vae")
    tiny.scheduler().save_pretrained(folder / "scheduler")
    return lambda: load_hunyuan_image(str(folder), 8, 12), ["transformer", "vae"]


def pipeline_case(folder: Path) -> Case:
    qwen_image_transformer().save_pretrained(folder / "transformer")
    qwen_image_vae().save_pretrained(folder / "vae")
    tiny.scheduler().save_pretrained(folder / "scheduler")
    (folder / "model_index.json").write_text('{"_class_name": "QwenImagePipeline"}')
    return lambda: load_pipeline(str(folder), 16, 24), ["transformer", "vae"]


def generator_case(folder: Path) -> Case:
    repository, names = save(folder, True), ["unet", "vae", "text_encoder", "text_encoder_2"]
    return lambda: load_generator(repository, 16, 24).encode_prompts(["a cat"]), names


def sdxl_case(folder: Path) -> Case:
    repository = save(folder, True)
    tensors = {"lora_unet_conv_in.lora_down.weight": torch.ones(1, 4, 3, 3), "lora_unet_conv_in.lora_up.weight":
               torch.ones(8, 1, 1, 1)}  # fmt: skip
    save_file(tensors, folder / "lora.safetensors")
    return lambda: load_sdxl_lcm(str(folder / "lora.safetensors"), repository, 16, 24), ["unet", "vae"]


def sana_case(folder: Path) -> Case:
    repositories = save_sana_sprint(folder, encoders())
    names = ["student/transformer", "student/vae", "student/text_encoder", "teacher/transformer"]
    return lambda: load_sana_sprint(*repositories, 16, 24).encode_prompts(["a cat"]), names


def tiny_decoder_case(folder: Path) -> Case:
    tiny_decoder().save_pretrained(folder)
    return lambda: with_tiny_decoder(flux(), str(folder), False), [""]


def clip_case(folder: Path) -> Case:
    repository = clip_folder(folder, clip())
    return lambda: load_clip(repository), [""]


def vlm_case(folder: Path) -> Case:
    repository = save_vlm("qwen3_vl", folder)
    return lambda: LogOdds(repository, question="Is it a cat?"), [""]


CASES = [klein_case, flux_ahead_case, hunyuan_case, pipeline_case, generator_case, sdxl_case, sana_case,
         tiny_decoder_case, clip_case, vlm_case]  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_no_loader_fills_weights_at_random(case: Callable[[Path], Case], tmp_path: Path) -> None:
    make, names = case(tmp_path)
    make()
    for name in names:
        key = first(tmp_path / name)
        (path,) = (tmp_path / name).glob("*model*.safetensors")
        whole = path.read_bytes()
        edit(tmp_path / name, lambda tensors, key=key: tensors.pop(key))
        part = name.rpartition("/")[2] or "network"
        with pytest.raises(ValueError, match=f": the {part} lacks 1 of the weights of .*, the first is {key}$"):
            make()
        path.write_bytes(whole)
