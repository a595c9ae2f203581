"""Flow-matching pipelines of diffusers from a folder: prompts are encoded as they encode them, others are refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch

from fmtt.models.t2i.one_time import of_both
from fmtt.models.t2i.pipelines import FAMILIES, load_pipeline
from tests.t2i import tiny, tiny_pipelines
from tests.t2i.pipeline_cases import CASES, TEXTS, noise

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.usefixtures("shallow_encoders")
@pytest.mark.parametrize("name", CASES)
def test_a_folder_is_a_model_whose_texts_are_encoded_as_by_the_pipeline(name: str, tmp_path: Path) -> None:
    case, texts = CASES[name], tiny_pipelines.text_parts(name)
    model, encoders = case.transformer(), dict(texts)
    networks = {"transformer": model, "vae": case.vae(), "scheduler": tiny.scheduler()}
    for folder, part in {**networks, **encoders}.items():
        part.save_pretrained(tmp_path / folder)
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": name}))
    made = load_pipeline(str(tmp_path), 16, 24)
    assert made.guidance == FAMILIES[name].guidance
    found = made.encode_prompts(TEXTS[:2])
    pipeline = getattr(diffusers, name)(scheduler=None, vae=case.vae(), transformer=model, **texts)
    expected = ENCODED[name](pipeline, TEXTS[:2])
    assert set(found) == set(expected)
    for key, value in expected.items():
        torch.testing.assert_close(found[key].to(value.dtype), value, msg=key)
    assert made.velocity(noise(made)[:2], torch.full((2,), 0.3), found).shape == (2, *made.shape)
    assert torch.is_grad_enabled()


def sd3_encoded(pipeline: Any, texts: list[str]) -> dict[str, torch.Tensor]:
    made = pipeline.encode_prompt(texts, None, None, do_classifier_free_guidance=True)
    names = ("encoder_hidden_states", "pooled_projections")
    return of_both(*(dict(zip(names, made[k::2], strict=True)) for k in (0, 1)))


def lumina2_encoded(pipeline: Any, texts: list[str]) -> dict[str, torch.Tensor]:
    made, names = pipeline.encode_prompt(texts), ("encoder_hidden_states", "encoder_attention_mask")
    return of_both(dict(zip(names, made[:2], strict=True)), dict(zip(names, made[2:], strict=True)))


def z_image_encoded(pipeline: Any, texts: list[str]) -> dict[str, torch.Tensor]:
    def padded(words: list[torch.Tensor]) -> dict[str, torch.Tensor]:
        known = [torch.ones(len(row), dtype=torch.bool) for row in words]
        pad = torch.nn.utils.rnn.pad_sequence
        return {"words": pad(words, batch_first=True), "known": pad(known, batch_first=True)}

    return of_both(*(padded(words) for words in pipeline.encode_prompt(list(texts))))


def qwen_encoded(pipeline: Any, texts: list[str]) -> dict[str, torch.Tensor]:
    def made(texts: list[str]) -> dict[str, torch.Tensor]:
        words, mask = pipeline.encode_prompt(texts)
        known = torch.ones(words.shape[:2]) if mask is None else mask
        return {"encoder_hidden_states": words, "encoder_hidden_states_mask": known}

    return of_both(made(texts), made([" "] * len(texts)))


def klein_encoded(pipeline: Any, texts: list[str]) -> dict[str, torch.Tensor]:
    return of_both(
        *({"encoder_hidden_states": pipeline.encode_prompt(given)[0]} for given in (texts, [""] * len(texts)))
    )


def flux2_encoded(pipeline: Any, texts: list[str]) -> dict[str, torch.Tensor]:
    return {"encoder_hidden_states": pipeline.encode_prompt(texts)[0]}


ENCODED = {
    "Flux2Pipeline": flux2_encoded,
    "StableDiffusion3Pipeline": sd3_encoded,
    "Lumina2Pipeline": lumina2_encoded,
    "ZImagePipeline": z_image_encoded,
    "QwenImagePipeline": qwen_encoded,
    "Flux2KleinPipeline": klein_encoded,
}


def test_flux_1_of_a_folder_is_encoded_as_by_its_pipeline(tmp_path: Path) -> None:
    clip, t5 = tiny.clip_and_t5()
    texts = {"text_encoder": clip, "text_encoder_2": t5, "tokenizer": tiny.plain_tokenizer(20),
             "tokenizer_2": tiny.plain_tokenizer(40)}  # fmt: skip
    networks = {"transformer": tiny.flux_transformer(), "vae": tiny.flux_vae(), "scheduler": tiny.scheduler()}
    for folder, part in {**networks, **texts}.items():
        part.save_pretrained(tmp_path / folder)
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": "FluxPipeline"}))
    found = load_pipeline(str(tmp_path), 16, 24).encode_prompts(TEXTS[:2])
    pipeline = diffusers.FluxPipeline(scheduler=None, vae=None, transformer=None, **texts)
    words, pooled, _ = pipeline.encode_prompt(TEXTS[:2], None)
    torch.testing.assert_close(found["words"], words)
    torch.testing.assert_close(found["pooled"], pooled)


def test_what_is_not_supported_or_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"model\.height=18, model\.width=24: must be multiples of 4"):
        FAMILIES["ZImagePipeline"].model(tiny_pipelines.z_image_transformer(), tiny.flux_vae(), None, 18, 24, 1.0)
    with pytest.raises(ValueError, match=r"nobody/nothing: the model_index\.json is not on this machine"):
        load_pipeline("nobody/nothing")
    with pytest.raises(ValueError, match=f"model.repository={tmp_path}: has no model_index.json that can be read"):
        load_pipeline(str(tmp_path))
    index = tmp_path / "model_index.json"
    index.write_text(json.dumps({"_class_name": "StableDiffusionXLPipeline"}))
    with pytest.raises(ValueError, match="StableDiffusionXLPipeline: must be one of FluxPipeline, Flux2Pipeline"):
        load_pipeline(str(tmp_path))
    index.write_text(json.dumps({"_class_name": "ZImagePipeline"}))
    with pytest.raises(ValueError, match="has no transformer that can be read"):
        load_pipeline(str(tmp_path))
