"""Flow-matching pipelines of diffusers from a folder: prompts are encoded as they encode them, others are refused."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch

from fmtt.models.t2i.encodings import MASKED
from fmtt.models.t2i.hunyuan_image import TOLD as OF_HUNYUAN
from fmtt.models.t2i.one_time import of_both
from fmtt.models.t2i.pipelines import FAMILIES, load_pipeline
from fmtt.run.configs import CONFIGS
from tests.t2i import tiny, tiny_hunyuan_image, tiny_pipelines
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


def both(made: Sequence[Any], names: Sequence[str]) -> dict[str, torch.Tensor]:
    """What is told of texts comes first, what is told of the negative prompt after it."""
    return of_both(*(dict(zip(names, half, strict=True)) for half in (made[: len(names)], made[len(names) :])))


def lumina2_encoded(pipeline: Any, texts: list[str]) -> dict[str, torch.Tensor]:
    return both(pipeline.encode_prompt(texts), MASKED)


def sana_encoded(pipeline: Any, texts: list[str]) -> dict[str, torch.Tensor]:
    """As its call encodes them."""
    seen: list[Any] = []
    encode = pipeline.encode_prompt
    pipeline.encode_prompt = lambda *given, **others: seen.append(encode(*given, **others))
    with pytest.raises(TypeError):  # it has nothing to go on with
        pipeline(texts, height=32, width=32, use_resolution_binning=False)
    return both(seen[0], MASKED)


def aura_flow_encoded(pipeline: Any, texts: list[str]) -> dict[str, torch.Tensor]:
    return both(pipeline.encode_prompt(texts)[::2], MASKED[:1])


def chroma_encoded(pipeline: Any, texts: list[str]) -> dict[str, torch.Tensor]:
    words, _, known, no_words, _, no_known = pipeline.encode_prompt(texts)
    return both((words, known, no_words, no_known), ("encoder_hidden_states", "known"))


def ovis_image_encoded(pipeline: Any, texts: list[str]) -> dict[str, torch.Tensor]:
    return both(pipeline.encode_prompt(texts)[:2], MASKED[:1])


def hunyuan_encoded(pipeline: Any, texts: list[str]) -> dict[str, torch.Tensor]:
    asked, refused = (pipeline.encode_prompt(given, batch_size=2) for given in (texts, None))
    return both((*asked, *refused), OF_HUNYUAN)


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
    "AuraFlowPipeline": aura_flow_encoded,
    "ChromaPipeline": chroma_encoded,
    "HunyuanImagePipeline": hunyuan_encoded,
    "OvisImagePipeline": ovis_image_encoded,
    "SanaPipeline": sana_encoded,
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


@pytest.mark.parametrize("page", ["docs/text_to_image.md", "configs/model/diffusers.yaml"])
def test_all_pipelines_are_named(page: str) -> None:
    text = (CONFIGS.parent / page).read_text()
    assert [name for name in FAMILIES if name not in text] == []


def test_what_is_not_supported_or_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"model\.height=18, model\.width=24: must be multiples of 4"):
        FAMILIES["ZImagePipeline"].model(tiny_pipelines.z_image_transformer(), tiny.flux_vae(), None, 18, 24, 1.0)
    with pytest.raises(ValueError, match=r"nobody/nothing: the model_index\.json is not on this machine"):
        load_pipeline("nobody/nothing")
    with pytest.raises(ValueError, match=f"model.repository={tmp_path}: has no model_index.json that can be read"):
        load_pipeline(str(tmp_path))
    index = tmp_path / "model_index.json"
    index.write_text(json.dumps({"_class_name": "StableDiffusionXLPipeline"}))
    line = f"model.repository={tmp_path}: is a StableDiffusionXLPipeline, must be one of {', '.join(FAMILIES)}"
    with pytest.raises(ValueError, match=f"^{line}$"):
        load_pipeline(str(tmp_path))
    distilled, vae = tiny_hunyuan_image.hunyuan_transformer(), tiny_hunyuan_image.hunyuan_vae()
    with pytest.raises(ValueError, match="has distilled weights, which have a flow map; use model=hunyuan_image"):
        FAMILIES["HunyuanImagePipeline"].model(distilled, vae, None, 16, 24, 1.0)
    index.write_text(json.dumps({"_class_name": "ZImagePipeline"}))
    with pytest.raises(ValueError, match="has no transformer that can be read"):
        load_pipeline(str(tmp_path))
