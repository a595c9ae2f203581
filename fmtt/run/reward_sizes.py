"""What the weights of the published rewards take in memory, counted without their content."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from typing import Any

import torch
from torch import nn

from fmtt.models.t2i.weights import library
from fmtt.rewards.t2i.imagereward import ImageRewardNetwork
from fmtt.run.memory import gib

REWARD_HEAD = ("reward", "network", "parameters, billions", "weights")
LARGE = {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096}


def clip_large() -> nn.Module:
    """CLIP ViT-L/14."""
    text = {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072}
    return clip(text, LARGE, 768)


def clip_huge() -> nn.Module:
    """CLIP ViT-H/14."""
    vision = {"hidden_size": 1280, "num_hidden_layers": 32, "num_attention_heads": 16, "intermediate_size": 5120}
    return clip(LARGE, vision, 1024)


def clip(text: dict[str, int], vision: dict[str, int], width: int) -> nn.Module:
    kinds = library("transformers")
    seen = {**vision, "patch_size": 14, "projection_dim": width}
    told = {**text, "projection_dim": width}
    return kinds.CLIPModel(kinds.CLIPConfig(text_config=told, vision_config=seen, projection_dim=width))


def blip() -> nn.Module:
    """The BLIP of ImageReward, with its head."""
    seen = {**LARGE, "image_size": 224, "patch_size": 16}
    return ImageRewardNetwork(
        library("transformers").BlipConfig(vision_config=seen, text_config={"encoder_hidden_size": 1024})
    )


def qwen3_vl_4b() -> nn.Module:
    kinds = library("transformers")
    text = {
        "hidden_size": 2560, "num_hidden_layers": 36, "num_attention_heads": 32, "num_key_value_heads": 8,
        "head_dim": 128, "intermediate_size": 9728, "vocab_size": 151936, "rope_parameters": rope([24, 20, 20]),
    }  # fmt: skip
    vision = {"depth": 24, "hidden_size": 1024, "intermediate_size": 4096, "num_heads": 16, "out_hidden_size": 2560}
    config = kinds.Qwen3VLConfig(text_config=text, vision_config=vision, tie_word_embeddings=True)
    return kinds.Qwen3VLForConditionalGeneration(config).to(torch.bfloat16)


def qwen25_vl_7b() -> nn.Module:
    kinds = library("transformers")
    text = {
        "hidden_size": 3584, "num_hidden_layers": 28, "num_attention_heads": 28, "num_key_value_heads": 4,
        "intermediate_size": 18944, "vocab_size": 152064, "rope_parameters": rope([16, 24, 24]),
    }  # fmt: skip
    vision = {"depth": 32, "hidden_size": 1280, "intermediate_size": 3420, "num_heads": 16, "out_hidden_size": 3584}
    config = kinds.Qwen2_5_VLConfig(text_config=text, vision_config=vision, tie_word_embeddings=False)
    return kinds.Qwen2_5_VLForConditionalGeneration(config).to(torch.bfloat16)


def rope(sections: list[int]) -> dict[str, Any]:
    return {"rope_type": "default", "rope_theta": 1e6, "mrope_section": sections}


NETWORKS: dict[str, tuple[str, Callable[[], nn.Module]]] = {  # by reward: what it is, and the network
    "clip, aesthetic": ("CLIP ViT-L/14", clip_large),
    "pickscore, hpsv2": ("CLIP ViT-H/14", clip_huge),
    "imagereward": ("BLIP", blip),
    "vlm": ("Qwen3-VL-4B, bfloat16", qwen3_vl_4b),
    "vlm, larger": ("Qwen2.5-VL-7B, bfloat16", qwen25_vl_7b),
}


def reward_rows() -> list[list[str]]:
    """The cells of :data:`REWARD_HEAD` for all rewards."""
    rows = []
    for reward, (name, network) in NETWORKS.items():
        with torch.device("meta"):
            made = network()
        parameters = list(made.parameters())
        size = sum(value.nbytes for value in chain(parameters, made.buffers()))
        rows.append([reward, name, f"{sum(value.numel() for value in parameters) / 1e9:.2f}", gib(size)])
    return rows
