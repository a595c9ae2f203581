"""Tiny random models of the classes of diffusers and transformers, built on the spot."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderKLFlux2,
    FlowMatchEulerDiscreteScheduler,
    Flux3Transformer2DModel,
    FluxTransformer2DModel,
)
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from torch import Tensor, nn
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    PreTrainedTokenizerFast,
    Qwen2VLImageProcessor,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
    Qwen3VLProcessor,
    T5Config,
    T5EncoderModel,
)
from transformers.models.qwen3_vl.video_processing_qwen3_vl import Qwen3VLVideoProcessor

from fmtt.models.t2i.flux import Told
from fmtt.models.t2i.flux3 import WINDOW, Flux3Klein, grid_for

WIDTH = 32  # of a token of text


def moved(net: nn.Module) -> nn.Module:
    """The frozen network with all parameters moved from their initial values: zeros and ones would hide mistakes."""
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return net.eval().requires_grad_(False)


def flux3_transformer(flow_map: bool = True) -> Flux3Transformer2DModel:
    """80,512 parameters."""
    torch.manual_seed(0)
    return moved(
        Flux3Transformer2DModel(
            in_channels=16, cond_in_channels=16, num_layers=1, num_single_layers=1, attention_head_dim=16,
            num_attention_heads=2, joint_attention_dim=WIDTH, timestep_channels=32, axes_dims_rope=(4, 4, 4, 4),
            flow_map=flow_map,
        )
    )  # fmt: skip


def flux3_vae() -> AutoencoderKLFlux2:
    """Pictures are twice as large as latents, four times as large as packed ones."""
    torch.manual_seed(1)
    vae = moved(
        AutoencoderKLFlux2(
            block_out_channels=(8, 8), down_block_types=("DownEncoderBlock2D",) * 2,
            up_block_types=("UpDecoderBlock2D",) * 2, layers_per_block=1, latent_channels=4, norm_num_groups=4,
            sample_size=16,
        )
    )  # fmt: skip
    vae.bn.running_mean.normal_()
    vae.bn.running_var.uniform_(0.5, 2.0)
    return vae


def windows(texts: Sequence[str]) -> list[Tensor]:
    """A window for each text; those of long texts are longer, and equal texts have equal ones."""
    found = []
    for text in texts:
        generator = torch.Generator().manual_seed(sum(map(ord, text)))
        found.append(torch.randn(WINDOW * (1 + len(text) // 40), WIDTH, generator=generator))
    return found


def flux3() -> Flux3Klein:
    return Flux3Klein(flux3_transformer(), flux3_vae(), windows, height=16, width=24)


def flux3_on_grid() -> Flux3Klein:
    """With the times of its pipeline, as it is loaded."""
    made = flux3()
    made.grid = grid_for(made)
    return made


LAYERS = (1, 2)  # of the text encoder that are stacked
WORDS = ("a", "cat", "dog", "clock", "that", "shows", "user", "assistant", "<start>", "<end>", "<pad>", "<unk>")
TEMPLATE = (
    "{% for message in messages %}<start> {{ message['role'] }} {{ message['content'] }} <end> {% endfor %}"
    "{% if add_generation_prompt %}<start> assistant{% endif %}"
)


class Processor:
    """A tokenizer with a chat template in the place of a processor, which would need a file for each of its parts."""

    def __init__(self) -> None:
        numbers = {word: number for number, word in enumerate(WORDS)}
        plain = Tokenizer(WordLevel(numbers, unk_token="<unk>"))
        plain.pre_tokenizer = WhitespaceSplit()
        special = {"pad_token": "<pad>", "unk_token": "<unk>"}
        self.tokenizer = PreTrainedTokenizerFast(tokenizer_object=plain, chat_template=TEMPLATE, **special)
        self.apply_chat_template = self.tokenizer.apply_chat_template


def qwen3_vl() -> Qwen3VLForConditionalGeneration:
    """Two layers of width 16, so that the windows of two stacked layers have the width of a token of text."""
    torch.manual_seed(2)
    text = {
        "vocab_size": len(WORDS), "hidden_size": WIDTH // len(LAYERS), "intermediate_size": 32, "num_hidden_layers": 2,
        "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 8, "max_position_embeddings": 512,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 1, 1]},
    }  # fmt: skip
    vision = {
        "depth": 1, "hidden_size": 16, "intermediate_size": 16, "num_heads": 2, "out_hidden_size": 16, "patch_size": 4,
        "num_position_embeddings": 16, "deepstack_visual_indexes": [0],
    }  # fmt: skip
    return moved(Qwen3VLForConditionalGeneration(Qwen3VLConfig(text_config=text, vision_config=vision)))


def flux_transformer(guidance: bool = True) -> FluxTransformer2DModel:
    torch.manual_seed(0)
    return moved(
        FluxTransformer2DModel(
            in_channels=16, num_layers=1, num_single_layers=1, attention_head_dim=16, num_attention_heads=2,
            joint_attention_dim=WIDTH, pooled_projection_dim=24, axes_dims_rope=(4, 4, 8), guidance_embeds=guidance,
        )
    )  # fmt: skip


def flux_vae() -> AutoencoderKL:
    """Pictures are twice as large as latents."""
    torch.manual_seed(1)
    return moved(
        AutoencoderKL(
            block_out_channels=(8, 8), down_block_types=("DownEncoderBlock2D",) * 2,
            up_block_types=("UpDecoderBlock2D",) * 2, latent_channels=4, norm_num_groups=4, scaling_factor=0.36,
            shift_factor=0.12, use_quant_conv=False, use_post_quant_conv=False,
        )
    )  # fmt: skip


def told(texts: Sequence[str]) -> Told:
    """What a tiny FLUX.1 is told; equal texts are told alike."""
    generators = [torch.Generator().manual_seed(sum(map(ord, text))) for text in texts]
    words = torch.stack([torch.randn(12, WIDTH, generator=generator) for generator in generators])
    return Told(words, torch.stack([torch.randn(24, generator=generator) for generator in generators]))


def plain_tokenizer(longest: int) -> PreTrainedTokenizerFast:
    tokenizer = Processor().tokenizer
    tokenizer.model_max_length, tokenizer.padding_side = longest, "right"
    return tokenizer


def clip_and_t5() -> tuple[CLIPTextModel, T5EncoderModel]:
    """Encoders of the widths that the tiny FLUX.1 is told: 24 for whole texts, WIDTH for words."""
    torch.manual_seed(3)
    tokens = {"vocab_size": len(WORDS), "pad_token_id": 10}
    clip = CLIPTextConfig(
        hidden_size=24, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, max_position_embeddings=20,
        eos_token_id=9, **tokens,
    )  # fmt: skip
    t5 = T5Config(d_model=WIDTH, d_kv=8, d_ff=16, num_layers=1, num_heads=2, **tokens)
    return moved(CLIPTextModel(clip)), moved(T5EncoderModel(t5))


def scheduler() -> FlowMatchEulerDiscreteScheduler:
    return FlowMatchEulerDiscreteScheduler(shift=3.0)


def save_klein(folder: Path) -> str:
    """A tiny FLUX.3 klein in a ``folder`` with the layout of the published one."""
    flux3_transformer().save_pretrained(folder / "transformer")
    flux3_vae().save_pretrained(folder / "vae")
    qwen3_vl().save_pretrained(folder / "text_encoder")
    parts = {"image_processor": Qwen2VLImageProcessor(), "video_processor": Qwen3VLVideoProcessor()}
    processor = Qwen3VLProcessor(**parts, tokenizer=Processor().tokenizer, chat_template=TEMPLATE)
    processor.save_pretrained(folder / "tokenizer")
    return str(folder)
