"""A tiny random SANA-Sprint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderDC, FlowMatchEulerDiscreteScheduler, SanaTransformer2DModel
from torch import Tensor
from transformers import Gemma2Config, Gemma2Model

from fmtt.models.t2i.encodings import MASKED
from fmtt.models.t2i.one_time import of_both
from fmtt.models.t2i.sana_sprint import SanaSprint
from tests.t2i.tiny import WIDTH, moved
from tests.t2i.tiny_hunyuan_image import BYTES
from tests.t2i.tiny_pipelines import byte_tokenizer


def sana_transformer(guidance: bool, timestep_scale: float = 1e-3, seed: int = 0) -> SanaTransformer2DModel:
    """The student, or with other weights the teacher, which is told no guidance."""
    torch.manual_seed(seed + guidance)
    return moved(
        SanaTransformer2DModel(
            in_channels=4, out_channels=4, num_attention_heads=2, attention_head_dim=8, num_layers=2,
            num_cross_attention_heads=2, cross_attention_head_dim=8, cross_attention_dim=16, caption_channels=WIDTH,
            sample_size=8, guidance_embeds=guidance, guidance_embeds_scale=0.1,
            timestep_scale=timestep_scale,
        )
    )  # fmt: skip


def sana() -> SanaTransformer2DModel:
    """That of SANA. Its seed is one of those where no corner of a ReLU disturbs finite differences."""
    return sana_transformer(False, timestep_scale=1.0, seed=21)


def sana_vae() -> AutoencoderDC:
    """Pictures are twice as large as latents. It has no ReLU, whose corners would disturb finite differences."""
    torch.manual_seed(2)
    return moved(
        AutoencoderDC(
            latent_channels=4, attention_head_dim=2, encoder_block_types=("ResBlock",) * 2,
            decoder_block_types=("ResBlock",) * 2, encoder_block_out_channels=(8, 8), decoder_block_out_channels=(8, 8),
            encoder_qkv_multiscales=((), ()), decoder_qkv_multiscales=((), ()), encoder_layers_per_block=(1, 1),
            decoder_layers_per_block=(1, 1), downsample_block_type="conv", upsample_block_type="interpolate",
            decoder_conv_act_fn="silu", scaling_factor=0.41,
        )
    )  # fmt: skip


def told(texts: Sequence[str]) -> dict[str, Tensor]:
    """What a tiny network is told; equal texts are told alike, and the negative prompt is shorter."""

    def row(text: str) -> dict[str, Tensor]:
        generator = torch.Generator().manual_seed(sum(map(ord, text)))
        return dict(zip(MASKED, (torch.randn(1, 9, WIDTH, generator=generator),
                               (torch.arange(9) < 3 + len(text) % 6).long()[None]), strict=True))  # fmt: skip

    both = [of_both(row(text), row("")) for text in texts]
    return {name: torch.cat([entry[name] for entry in both]) for name in both[0]}


def sana_sprint() -> SanaSprint:
    return SanaSprint(sana_transformer(True), sana_transformer(False), sana_vae(), told, 16, 24)


def encoders() -> dict[str, Any]:
    """The parts that encode texts, by the names of their folders."""
    torch.manual_seed(5)
    config = Gemma2Config(
        vocab_size=BYTES, hidden_size=WIDTH, intermediate_size=16, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, head_dim=8,
    )  # fmt: skip
    return {"text_encoder": moved(Gemma2Model(config)), "tokenizer": byte_tokenizer()}


def save_sana_sprint(folder: Path, texts: Mapping[str, Any]) -> tuple[str, str]:
    """Folders of a student and its teacher, laid out as the published ones."""
    for name, part in {"transformer": sana_transformer(True), "vae": sana_vae(), **texts}.items():
        part.save_pretrained(folder / "student" / name)
    sana_transformer(False).save_pretrained(folder / "teacher" / "transformer")
    FlowMatchEulerDiscreteScheduler(shift=3.0).save_pretrained(folder / "teacher" / "scheduler")
    return str(folder / "student"), str(folder / "teacher")
