"""Tiny pipelines of diffusers, and how each is called with what our model is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import diffusers
import torch
from diffusers.guiders import AdaptiveProjectedMixGuidance
from torch.nn.functional import pixel_unshuffle

from fmtt.models.t2i.encodings import MASKED
from fmtt.models.t2i.grids import SchedulerGrid
from fmtt.models.t2i.hunyuan_image import TOLD as OF_HUNYUAN
from fmtt.models.t2i.one_time import NEGATIVE, OneTime
from fmtt.models.t2i.pipelines import FAMILIES
from tests.t2i import tiny, tiny_hunyuan_image, tiny_pipelines, tiny_sana_sprint, tiny_unet

GUIDANCE = 3.0
TEXTS = ["a cat", "a dog that shows a clock", "a dog"]


@dataclass(frozen=True)
class Case:
    """A tiny model with a guidance of 3, and how its pipeline is called with what the model is told of one text."""

    transformer: Callable[[], Any]
    vae: Callable[[], Any]
    given: Callable[[Mapping[str, torch.Tensor]], dict[str, Any]]
    packed: bool = False  # whether the pipeline wants tokens of 2 x 2 latents
    more: Callable[[], dict[str, Any]] = dict  # other parts of the pipeline
    size: tuple[int, int] = (16, 24)  # that the pipeline is told; where it reads latents alone, any that it accepts
    h: float = 1e-3  # of differences in space; shorter ones meet the rotations of queries and keys, in float32
    time_h: float = 3e-5  # of differences in time; the times of most networks are multiplied by 1000 inside


def named(told: Mapping[str, torch.Tensor], **names: str) -> dict[str, Any]:
    """Arguments of the pipeline, of the text and of the negative prompt."""
    return {begin + name: told[begin + mine] for name, mine in names.items() for begin in ("", NEGATIVE)}


def scaled(told: Mapping[str, torch.Tensor], **names: str) -> dict[str, Any]:
    return named(told, **names) | {"guidance_scale": GUIDANCE}


def words_alone(told: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    return scaled(told, prompt_embeds="encoder_hidden_states") | {"negative_prompt": None}


def masked(told: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    return scaled(told, **dict(zip(("prompt_embeds", "prompt_attention_mask"), MASKED, strict=True)))


def sana_given(told: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    return masked(told) | {"prompt": None, "negative_prompt": None, "use_resolution_binning": False}


def aura_flow_given(told: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    asked = {f"{begin}prompt_attention_mask": torch.ones(1, 12) for begin in ("", NEGATIVE)}  # for its check alone
    return words_alone(told) | asked


def chroma_given(told: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    return scaled(told, prompt_embeds="encoder_hidden_states", prompt_attention_mask="known")


def hunyuan_given(told: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    names = ("prompt_embeds", "prompt_embeds_mask", "prompt_embeds_2", "prompt_embeds_mask_2")
    return named(told, **dict(zip(names, OF_HUNYUAN, strict=True)))


def hunyuan_guider() -> dict[str, Any]:
    return {"guider": AdaptiveProjectedMixGuidance(guidance_scale=GUIDANCE)}


def sd3_given(told: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    return scaled(told, prompt_embeds="encoder_hidden_states", pooled_prompt_embeds="pooled_projections")


def qwen_given(told: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    scale = {"true_cfg_scale": GUIDANCE}
    return named(told, prompt_embeds="encoder_hidden_states", prompt_embeds_mask="encoder_hidden_states_mask") | scale


def z_image_given(told: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    words = {name: list(value) for name, value in named(told, prompt_embeds="words").items()}
    return words | {"guidance_scale": GUIDANCE}


def klein_given(told: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    return scaled(told, prompt_embeds="encoder_hidden_states")


def flux2_given(told: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    return {"prompt_embeds": told["encoder_hidden_states"], "guidance_scale": GUIDANCE}


CASES = {
    "StableDiffusion3Pipeline": Case(tiny_pipelines.sd3_transformer, tiny.flux_vae, sd3_given),
    "SanaPipeline": Case(tiny_sana_sprint.sana, tiny_sana_sprint.sana_vae, sana_given, size=(32, 64)),
    "HunyuanImagePipeline": Case(
        lambda: tiny_hunyuan_image.hunyuan_transformer(False), tiny_hunyuan_image.hunyuan_vae, hunyuan_given,
        more=hunyuan_guider,
    ),
    "AuraFlowPipeline": Case(tiny_pipelines.aura_flow_transformer, tiny_unet.vae, aura_flow_given),
    "ChromaPipeline": Case(tiny_pipelines.chroma_transformer, tiny.flux_vae, chroma_given, packed=True),
    "OvisImagePipeline": Case(tiny_pipelines.ovis_image_transformer, tiny.flux_vae, words_alone, packed=True),
    "Lumina2Pipeline": Case(tiny_pipelines.lumina2_transformer, tiny.flux_vae, masked, size=(64, 96), time_h=3e-4),
    "ZImagePipeline": Case(tiny_pipelines.z_image_transformer, tiny.flux_vae, z_image_given),
    "QwenImagePipeline": Case(
        tiny_pipelines.qwen_image_transformer, tiny_pipelines.qwen_image_vae, qwen_given, packed=True, h=3e-3
    ),
    "Flux2KleinPipeline": Case(lambda: tiny_pipelines.flux2_transformer(False), tiny.flux3_vae, klein_given),
    "Flux2Pipeline": Case(lambda: tiny_pipelines.flux2_transformer(True), tiny.flux3_vae, flux2_given),
}  # fmt: skip
MASKS = dict.fromkeys(("Lumina2Pipeline", "SanaPipeline", "HunyuanImagePipeline"), MASKED[1]) | {
    "ZImagePipeline": "known", "ChromaPipeline": "known", "QwenImagePipeline": "encoder_hidden_states_mask",
}  # fmt: skip


def told(name: str) -> Callable[[list[str]], dict[str, torch.Tensor]]:
    """Random rows of the right names; texts and the negative prompt differ in their words and in their length."""
    words, mask = "words" if name == "ZImagePipeline" else "encoder_hidden_states", MASKS.get(name)
    # Z-Image takes words without a mask; the norms of Qwen-Image would have a corner near the points of other tests
    whole = ("a cat", "") if name in ("ZImagePipeline", "QwenImagePipeline") else ("a cat",)

    def row(text: str) -> dict[str, torch.Tensor]:
        generator = torch.Generator().manual_seed(sum(map(ord, text)))
        found = {words: torch.randn(1, 12, tiny.WIDTH, generator=generator)}
        if mask is not None:
            found[mask] = torch.arange(12)[None] < (12 if text in whole else 7)
        if name == "ChromaPipeline":
            found[mask] = found[mask].float()
        if name == "StableDiffusion3Pipeline":
            found["pooled_projections"] = torch.randn(1, tiny_pipelines.POOLED, generator=generator)
        if name == "HunyuanImagePipeline":
            found[OF_HUNYUAN[2]] = torch.randn(1, 6, tiny_hunyuan_image.GLYPH, generator=generator)
            found[OF_HUNYUAN[3]] = torch.arange(6)[None] < len(text) % 6
        return found

    def rows(texts: list[str]) -> dict[str, torch.Tensor]:
        both = [row(text) | {NEGATIVE + key: value for key, value in row("").items()} for text in texts]
        return {key: torch.cat([entry[key] for entry in both]) for key in both[0]}

    return rows


def model_of(name: str) -> OneTime:
    """With the grid of its pipeline."""
    case, family = CASES[name], FAMILIES[name]
    made = family.model(case.transformer(), case.vae(), told(name), 16, 24, GUIDANCE)
    made.grid = SchedulerGrid(tiny.scheduler(), made.tokens, family.mu, family.levels)
    return made


def pictures_of(name: str, model: OneTime, start: torch.Tensor, steps: int) -> torch.Tensor:
    """What the pipeline makes of noise for the first text, ``(1, 3, H, W)`` in [0, 1]."""
    case, absent = CASES[name], dict.fromkeys(FAMILIES[name].parts)
    parts = {"vae": model.latents.vae, "transformer": model.transformer, "scheduler": tiny.scheduler()}
    pipeline = getattr(diffusers, name)(**parts, **absent, **case.more())
    pipeline.set_progress_bar_config(disable=True)
    latents = pixel_unshuffle(start, 2).flatten(2).transpose(1, 2) if case.packed else start
    given = case.given(rows(model, 0)) | dict(zip(("height", "width"), case.size, strict=True))
    return pipeline(**given, latents=latents, num_inference_steps=steps, output_type="pt").images


def noise(model: OneTime) -> torch.Tensor:
    return torch.randn(3, *model.shape, generator=torch.Generator().manual_seed(5))


def rows(model: OneTime, *which: int) -> dict[str, torch.Tensor]:
    return {name: value[list(which)] for name, value in model.encode_prompts(TEXTS).items()}
