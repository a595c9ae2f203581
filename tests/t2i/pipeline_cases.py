"""Tiny pipelines of diffusers, and how each is called with what our model is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from fmtt.models.t2i.one_time import NEGATIVE, OneTime
from fmtt.models.t2i.pipelines import FAMILIES
from tests.t2i import tiny, tiny_pipelines

TEXTS = ["a cat", "a dog that shows a clock", "a dog"]


@dataclass(frozen=True)
class Case:
    """A tiny model, and how its pipeline is called with what the model is told of one text."""

    transformer: Callable[[], Any]
    vae: Callable[[], Any]
    guidance: float
    given: Callable[[Mapping[str, torch.Tensor]], dict[str, Any]]
    packed: bool = False  # whether the pipeline wants tokens of 2 x 2 latents
    size: tuple[int, int] = (16, 24)  # that the pipeline is told; where it reads latents alone, any that it accepts
    h: float = 1e-3  # of differences in space; shorter ones meet the rotations of queries and keys, in float32
    time_h: float = 3e-5  # of differences in time; the times of most networks are multiplied by 1000 inside


def named(told: Mapping[str, torch.Tensor], **names: str) -> dict[str, Any]:
    """Arguments of the pipeline, of the text and of the negative prompt."""
    return {begin + name: told[begin + mine] for name, mine in names.items() for begin in ("", NEGATIVE)}


def sd3_given(told: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    uniform = {"sigmas": [1.0, 0.75, 0.5, 0.25]}  # left alone, the scheduler would end at its smallest noise level
    return named(told, prompt_embeds="encoder_hidden_states", pooled_prompt_embeds="pooled_projections") | uniform


def lumina2_given(told: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    return named(told, prompt_embeds="encoder_hidden_states", prompt_attention_mask="encoder_attention_mask")


def qwen_given(told: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    scale = {"true_cfg_scale": 3.0}
    return named(told, prompt_embeds="encoder_hidden_states", prompt_embeds_mask="encoder_hidden_states_mask") | scale


def z_image_given(told: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    words = {name: list(value) for name, value in named(told, prompt_embeds="words").items()}
    return words | {"guidance_scale": 2.0}


def klein_given(told: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    return named(told, prompt_embeds="encoder_hidden_states")


def flux2_given(told: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    return {"prompt_embeds": told["encoder_hidden_states"]}


CASES = {
    "StableDiffusion3Pipeline": Case(tiny_pipelines.sd3_transformer, tiny.flux_vae, 3.0, sd3_given),
    "Lumina2Pipeline": Case(
        tiny_pipelines.lumina2_transformer, tiny.flux_vae, 3.0, lumina2_given, size=(64, 96), time_h=3e-4
    ),
    "ZImagePipeline": Case(tiny_pipelines.z_image_transformer, tiny.flux_vae, 2.0, z_image_given),
    "QwenImagePipeline": Case(
        tiny_pipelines.qwen_image_transformer, tiny_pipelines.qwen_image_vae, 3.0, qwen_given, packed=True, h=3e-3
    ),
    "Flux2KleinPipeline": Case(lambda: tiny_pipelines.flux2_transformer(False), tiny.flux3_vae, 3.0, klein_given),
    "Flux2Pipeline": Case(lambda: tiny_pipelines.flux2_transformer(True), tiny.flux3_vae, 3.0, flux2_given),
}


def told(name: str) -> Callable[[list[str]], dict[str, torch.Tensor]]:
    """Random rows of the right names; texts and the negative prompt differ in their words and in their length."""
    words = "words" if name == "ZImagePipeline" else "encoder_hidden_states"
    mask = {"ZImagePipeline": "known", "QwenImagePipeline": "encoder_hidden_states_mask",
            "Lumina2Pipeline": "encoder_attention_mask"}.get(name)  # fmt: skip

    def row(text: str) -> dict[str, torch.Tensor]:
        generator = torch.Generator().manual_seed(sum(map(ord, text)))
        found = {words: torch.randn(1, 12, tiny.WIDTH, generator=generator)}
        if mask is not None:
            found[mask] = torch.arange(12)[None] < (12 if text in ("a cat", "") else 7)
        if name == "StableDiffusion3Pipeline":
            found["pooled_projections"] = torch.randn(1, tiny_pipelines.POOLED, generator=generator)
        return found

    def rows(texts: list[str]) -> dict[str, torch.Tensor]:
        both = [row(text) | {NEGATIVE + key: value for key, value in row("").items()} for text in texts]
        return {key: torch.cat([entry[key] for entry in both]) for key in both[0]}

    return rows


def model_of(name: str) -> OneTime:
    case = CASES[name]
    return FAMILIES[name].model(case.transformer(), case.vae(), told(name), 16, 24, case.guidance)


def noise(model: OneTime) -> torch.Tensor:
    return torch.randn(3, *model.shape, generator=torch.Generator().manual_seed(5))


def rows(model: OneTime, *which: int) -> dict[str, torch.Tensor]:
    return {name: value[list(which)] for name, value in model.encode_prompts(TEXTS).items()}
