"""Without a tilt the engine makes the pictures of a model's own pipeline, from the same noise on the model's grid."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from diffusers import (
    FlowMatchEulerDiscreteScheduler,
    FluxPipeline,
    HunyuanImagePipeline,
    SanaPipeline,
    StableDiffusionPipeline,
)
from diffusers.guiders import ClassifierFreeGuidance
from diffusers.modular_pipelines.flux3.modular_blocks_flux3 import Flux3CoreDenoiseStep
from diffusers.modular_pipelines.flux3.modular_blocks_flux3_distilled import Flux3DistilledCoreDenoiseStep
from torch import Tensor

from fmtt.flow.protocols import Velocity
from fmtt.flow.schedules import PowerGrid
from fmtt.models.t2i.encodings import MASKED
from fmtt.models.t2i.flux import FluxVelocity
from fmtt.models.t2i.grids import SchedulerGrid, by_tokens, own
from fmtt.models.t2i.noise_network import TEXT as WORDS
from fmtt.models.t2i.one_time import NEGATIVE
from fmtt.step.transport import Euler, FlowMapTransport, Transport
from tests.t2i.pipeline_cases import CASES, model_of, pictures_of
from tests.t2i.test_flux import DYNAMIC, dev_ahead, flow_map, looped
from tests.t2i.test_flux3 import on_base
from tests.t2i.test_generator import generator
from tests.t2i.tiny import flux3_on_grid, flux_transformer, flux_vae, scheduler, told
from tests.t2i.tiny_hunyuan_image import hunyuan
from tests.t2i.tiny_sana_sprint import sana_sprint
from tests.t2i.tiny_unet import scheduler as noise_scheduler
from tests.t2i.untilted import TEXT, noise_and_pictures, one_jump, untilted

pytestmark = pytest.mark.filterwarnings("ignore")
Expected = Callable[[Any, Tensor, int], Tensor]  # a model, noise and steps to the pictures of its pipeline


def decoded(model: Any, latents: Tensor) -> Tensor:
    return (model.decode(latents) / 2 + 0.5).clamp(0, 1)


def quiet(pipeline: Any) -> Any:
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def flux(dev: bool) -> FluxVelocity:
    model = FluxVelocity(flux_transformer(dev), flux_vae(), told, 16, 24, 2.5)
    model.grid = SchedulerGrid(FlowMatchEulerDiscreteScheduler(**(DYNAMIC if dev else {})), model.tokens, by_tokens)
    return model


def flux_pictures(dev: bool, model: Any, noise: Tensor, steps: int) -> Tensor:
    absent = dict.fromkeys(("text_encoder", "tokenizer", "text_encoder_2", "tokenizer_2"))
    schedule = FlowMatchEulerDiscreteScheduler(**(DYNAMIC if dev else {}))
    pipeline = quiet(FluxPipeline(schedule, vae=model.latents.vae, transformer=model.networks[0], **absent))
    return pipeline(
        prompt_embeds=told([TEXT]).words, pooled_prompt_embeds=told([TEXT]).pooled, height=16, width=24,
        num_inference_steps=steps, guidance_scale=2.5, latents=FluxPipeline._pack_latents(noise, 1, *model.shape),
        output_type="pt",
    ).images  # fmt: skip


def ahead() -> Any:
    """Its velocity is that of dev."""
    model = dev_ahead()
    model.grid = flux(True).grid
    return model


def lora() -> Any:
    model = flow_map()
    model.grid = flux(True).grid
    return model


def lora_pictures(model: Any, noise: Tensor, steps: int) -> Tensor:
    """It has no pipeline; its authors' code is a loop."""
    return decoded(model, looped(model, noise, steps))


def klein_pictures(model: Any, noise: Tensor, steps: int) -> Tensor:
    pipeline = Flux3DistilledCoreDenoiseStep().init_pipeline()
    pipeline.update_components(transformer=model.transformer)
    return decoded(model, klein_latents(pipeline, model, noise, steps, {}))


def klein_base_pictures(model: Any, noise: Tensor, steps: int) -> Tensor:
    pipeline = Flux3CoreDenoiseStep().init_pipeline()
    negative = {"negative_prompt_embeds": model.encoder([""])[0][None]}
    pipeline.update_components(transformer=model.base, guider=ClassifierFreeGuidance(guidance_scale=3.5))
    return decoded(model, klein_latents(pipeline, model, noise, steps, negative))


def klein_latents(pipeline: Any, model: Any, noise: Tensor, steps: int, given: dict[str, Tensor]) -> Tensor:
    """With the scheduler that the pipeline makes itself; its autoencoder divides by 16."""
    words = model.encoder([TEXT])[0][None]
    given = given | {"prompt_embeds": words, "latents": noise}
    return pipeline(**given, num_inference_steps=steps, height=64, width=96, batch_size=1, output="latents")


def distilled_hunyuan() -> Any:
    model = hunyuan()
    model.grid = SchedulerGrid(scheduler(), 1, by_tokens)
    return model


def hunyuan_pictures(model: Any, noise: Tensor, steps: int) -> Tensor:
    absent = dict.fromkeys(("text_encoder", "tokenizer", "text_encoder_2", "tokenizer_2"))
    parts = {"vae": model.latents.vae, "transformer": model.transformer}
    names = ("prompt_embeds", "prompt_embeds_mask", "prompt_embeds_2", "prompt_embeds_mask_2")
    given = dict(zip(names, model.encode_prompts([TEXT]).values(), strict=True))
    size = {"height": 8, "width": 12, "num_inference_steps": steps, "distilled_guidance_scale": 3.5}
    return quiet(HunyuanImagePipeline(scheduler(), **parts, **absent))(
        **given, **size, latents=noise, output_type="pt"
    ).images


def sana() -> Any:
    """Its velocity is that of the teacher."""
    model = sana_sprint()
    model.grid = SchedulerGrid(scheduler(), 1, by_tokens, own)
    return model


def teacher_pictures(model: Any, noise: Tensor, steps: int) -> Tensor:
    condition, names = model.encode_prompts([TEXT]), ("prompt_embeds", "prompt_attention_mask")
    given = {f"{begin}{name}": condition[begin + mine] for begin in ("", NEGATIVE)
             for name, mine in zip(names, MASKED, strict=True)}  # fmt: skip
    return quiet(SanaPipeline(None, None, model.latents.vae, model.transformer, scheduler()))(
        **given, height=32, width=64, use_resolution_binning=False, latents=noise, num_inference_steps=steps,
        guidance_scale=4.5, prompt=None, negative_prompt=None, output_type="pt",
    ).images  # fmt: skip


def generator_pictures(model: Any, noise: Tensor, steps: int) -> Tensor:
    parts = {"vae": model.latents.vae, "unet": model.network.unet, "scheduler": noise_scheduler()}
    absent = dict.fromkeys(("text_encoder", "tokenizer", "safety_checker", "feature_extractor"))
    pipeline = quiet(StableDiffusionPipeline(**parts, **absent, requires_safety_checker=False))
    return pipeline(
        prompt_embeds=model.encode_prompts([TEXT])[WORDS], latents=noise.clone(), num_inference_steps=steps,
        guidance_scale=0.0, height=16, width=24, output_type="pt",
    ).images  # fmt: skip


Entry = tuple[Callable[[], Any], Callable[[Velocity], Transport], Expected]
MODELS: dict[str, Entry] = {
    "FluxPipeline": (partial(flux, True), Euler, partial(flux_pictures, True)),
    "flux_schnell": (partial(flux, False), Euler, partial(flux_pictures, False)),
    "flux_ahead": (ahead, Euler, partial(flux_pictures, True)),
    "flux": (lora, FlowMapTransport, lora_pictures),
    "flux3_klein": (flux3_on_grid, FlowMapTransport, klein_pictures),
    "flux3_klein on klein-base": (on_base, Euler, klein_base_pictures),
    "hunyuan_image": (distilled_hunyuan, FlowMapTransport, hunyuan_pictures),
    "sana_sprint": (sana, Euler, teacher_pictures),
} | {name: (partial(model_of, name), Euler, partial(pictures_of, name)) for name in CASES}


@pytest.mark.parametrize("name", MODELS)
def test_pictures_of_the_base_model_are_those_of_its_pipeline(name: str) -> None:
    make, transport, expected = MODELS[name]
    model = make()
    noise, pictures = noise_and_pictures(untilted(model, 4, transport))
    torch.testing.assert_close(pictures, expected(model, noise, 4), rtol=1e-4, atol=1e-4)
    if name != "flux_schnell":  # whose pipeline has that grid
        _, uniform = noise_and_pictures(untilted(model, 4, transport, PowerGrid()))
        assert (uniform - pictures).abs().max() > 1e-3


def test_a_generator_makes_its_picture_in_one_step() -> None:
    model = generator()
    noise, pictures = noise_and_pictures(one_jump(model))
    torch.testing.assert_close(pictures, generator_pictures(model, noise, 1), rtol=1e-3, atol=1e-4)
    assert (generator_pictures(model, noise, 2) - pictures).abs().max() > 1e-3
