"""A tiny random HunyuanImage."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from diffusers import AutoencoderKLHunyuanImage, HunyuanImageTransformer2DModel
from torch import Tensor
from transformers import (
    ByT5Tokenizer,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    T5Config,
    T5EncoderModel,
)

from fmtt.models.t2i.hunyuan_image import TOLD, HunyuanImage
from tests.t2i.tiny import WIDTH, moved

GLYPH = 24  # width of a byte of what stands in quotes
BYTES = 384  # that a ByT5Tokenizer knows, and its special tokens


def hunyuan_transformer(use_meanflow: bool = True) -> HunyuanImageTransformer2DModel:
    """The distilled one, or with one time that which is not."""
    torch.manual_seed(0)
    return moved(
        HunyuanImageTransformer2DModel(
            in_channels=16, out_channels=16, num_attention_heads=2, attention_head_dim=16, num_layers=1,
            num_single_layers=1, num_refiner_layers=1, mlp_ratio=2.0, text_embed_dim=WIDTH, text_embed_2_dim=GLYPH,
            rope_axes_dim=(8, 8), guidance_embeds=use_meanflow, use_meanflow=use_meanflow,
        )
    )  # fmt: skip


def hunyuan_vae() -> AutoencoderKLHunyuanImage:
    """Pictures are twice as large as latents."""
    torch.manual_seed(1)
    return moved(
        AutoencoderKLHunyuanImage(
            in_channels=3, out_channels=3, latent_channels=16, block_out_channels=(32, 32), layers_per_block=1,
            spatial_compression_ratio=2, sample_size=16, scaling_factor=0.75,
        )
    )  # fmt: skip


def told(texts: Sequence[str]) -> dict[str, Tensor]:
    """What a tiny transformer is told: words, and bytes for texts with quotes; equal texts are told alike."""
    rows = []
    for text in texts:
        generator = torch.Generator().manual_seed(sum(map(ord, text)))
        words, glyphs = (torch.randn(1, 12, width, generator=generator) for width in (WIDTH, GLYPH))
        known = (torch.arange(12) < 4 + len(text) % 8).long()[None]
        quoted = (torch.arange(12) < 6 * ('"' in text)).long()[None]
        rows.append((words, known, glyphs * ('"' in text), quoted))
    return dict(zip(TOLD, map(torch.cat, zip(*rows, strict=True)), strict=True))


def hunyuan() -> HunyuanImage:
    return HunyuanImage(hunyuan_transformer(), hunyuan_vae(), told, height=8, width=12, guidance=3.5)


def qwen2_5_vl() -> Qwen2_5_VLForConditionalGeneration:
    """Three layers, so that the hidden state that the transformer sees is not that of the tokens."""
    torch.manual_seed(2)
    text = {
        "vocab_size": BYTES, "hidden_size": WIDTH, "intermediate_size": 32, "num_hidden_layers": 3,
        "num_attention_heads": 2, "num_key_value_heads": 1, "max_position_embeddings": 2048,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 3, 3]},
    }  # fmt: skip
    vision = {
        "depth": 1, "hidden_size": 16, "intermediate_size": 16, "num_heads": 2, "out_hidden_size": WIDTH,
        "patch_size": 4, "window_size": 16, "fullatt_block_indexes": [0],
    }  # fmt: skip
    return moved(Qwen2_5_VLForConditionalGeneration(Qwen2_5_VLConfig(text_config=text, vision_config=vision)))


def byt5() -> T5EncoderModel:
    torch.manual_seed(3)
    return moved(T5EncoderModel(T5Config(vocab_size=BYTES, d_model=GLYPH, d_kv=8, d_ff=16, num_layers=1, num_heads=2)))


def text_parts() -> dict[str, object]:
    """Both encoders, which read bytes."""
    return {"text_encoder": qwen2_5_vl(), "tokenizer": ByT5Tokenizer(), "text_encoder_2": byt5(),
            "tokenizer_2": ByT5Tokenizer()}  # fmt: skip
