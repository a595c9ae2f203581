"""Tiny random networks of Stable Diffusion and SDXL."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from diffusers import (
    AutoencoderKL,
    EulerDiscreteScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from fmtt.models.t2i.noise_network import TEXT
from tests.t2i.tiny import WIDTH, moved
from tests.t2i.tiny_rewards import clip_tokenizer

POOLED = 20


def unet(large: bool) -> UNet2DConditionModel:
    torch.manual_seed(0)
    more = {
        "addition_embed_type": "text_time", "addition_time_embed_dim": 4,
        "projection_class_embeddings_input_dim": POOLED + 6 * 4,
    }  # fmt: skip
    return moved(
        UNet2DConditionModel(
            sample_size=8, block_out_channels=(8, 16), layers_per_block=1, attention_head_dim=4, norm_num_groups=4,
            cross_attention_dim=2 * WIDTH if large else WIDTH,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            **(more if large else {}),
        )
    )  # fmt: skip


def vae() -> AutoencoderKL:
    torch.manual_seed(1)
    kinds = {"down_block_types": ("DownEncoderBlock2D",) * 2, "up_block_types": ("UpDecoderBlock2D",) * 2}
    return moved(AutoencoderKL(block_out_channels=(8, 8), latent_channels=4, norm_num_groups=4, **kinds))


def scheduler() -> EulerDiscreteScheduler:
    betas = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
    return EulerDiscreteScheduler(**betas, timestep_spacing="trailing")


def published_scheduler() -> EulerDiscreteScheduler:
    """With the spacing that SDXL is published with."""
    return EulerDiscreteScheduler.from_config(scheduler().config, timestep_spacing="leading", steps_offset=1)


def told(large: bool) -> Callable[[Sequence[str]], dict[str, Tensor]]:
    def rows(texts: Sequence[str]) -> dict[str, Tensor]:
        generators = [torch.Generator().manual_seed(sum(map(ord, text))) for text in texts]
        width = 2 * WIDTH if large else WIDTH
        found = {TEXT: torch.stack([torch.randn(7, width, generator=generator) for generator in generators])}
        if large:
            found["text_embeds"] = torch.stack([torch.randn(POOLED, generator=generator) for generator in generators])
            found["time_ids"] = torch.tensor([[16.0, 24, 0, 0, 16, 24]]).expand(len(texts), -1)
        return found

    return rows


def text_config(width: int) -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=100, hidden_size=WIDTH, intermediate_size=16, num_hidden_layers=2, num_attention_heads=2,
        max_position_embeddings=20, projection_dim=width, eos_token_id=9,
    )  # fmt: skip


def save(folder: Path, large: bool) -> str:
    """A folder with the layout of SD-Turbo or SDXL-Turbo."""
    tokenizer = clip_tokenizer()
    tokenizer.model_max_length = 20
    torch.manual_seed(4)
    one, two = (moved(kind(text_config(POOLED))) for kind in (CLIPTextModel, CLIPTextModelWithProjection))
    if large:
        pipeline = StableDiffusionXLPipeline(vae(), one, two, tokenizer, tokenizer, unet(True), published_scheduler())
    else:
        pipeline = StableDiffusionPipeline(
            vae(), one, tokenizer, unet(False), scheduler(), None, None, requires_safety_checker=False
        )
    pipeline.save_pretrained(folder)
    return str(folder)
