"""Tiny random CLIP and BLIP with their tokenizers, and the files in which others publish such weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor, nn
from transformers import BertTokenizer, BlipConfig, CLIPConfig, CLIPModel, CLIPTokenizer

from tests.t2i.tiny import moved

ROOT = Path(__file__).parents[2]
PICTURES = ("docs/demo.png", "docs/geometry.png", "docs/model_cards/clocks_samples.png", "docs/frontier_sampling.png",
            "fmtt/data/pictures/scene_1.png", "fmtt/data/pictures/clock.png")  # fmt: skip
TEXTS = ["a cat", "two dogs and a cat", "a clock that shows a quarter to five " * 6]


def picture(name: str) -> Image.Image:
    return Image.open(ROOT / name).convert("RGB")


def pixels(image: Image.Image) -> Tensor:
    """``(1, 3, H, W)`` in [-1, 1]."""
    grey = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8).reshape(image.height, image.width, 3)
    return grey.movedim(-1, 0)[None] / 127.5 - 1


def pictures(*size: int) -> Tensor:
    """Three random pictures, smooth enough to survive resizing."""
    coarse = torch.rand(3, 3, 6, 6, generator=torch.Generator().manual_seed(5)) * 1.6 - 0.8
    return nn.functional.interpolate(coarse, size, mode="bilinear")


def clip_tokenizer() -> CLIPTokenizer:
    """Letters; those that end a word are other tokens."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(vocab={word: number for number, word in enumerate(words)}, merges=[], model_max_length=24)


def clip(activation: str = "quick_gelu", end: int = 53) -> CLIPModel:
    """Pictures of 32 pixels, embeddings of 12 numbers; ``end=2`` is how old repositories name the last token."""
    torch.manual_seed(0)
    shared = {"num_hidden_layers": 2, "num_attention_heads": 2, "hidden_act": activation}
    text = {"vocab_size": 54, "hidden_size": 16, "intermediate_size": 24, "max_position_embeddings": 24,
            "bos_token_id": 52, "eos_token_id": end}  # fmt: skip
    vision = {"hidden_size": 20, "intermediate_size": 28, "image_size": 32, "patch_size": 8}
    config = CLIPConfig(text_config=text | shared, vision_config=vision | shared, projection_dim=12)
    return moved(CLIPModel(config))


def clip_folder(folder: Path, model: CLIPModel) -> str:
    model.save_pretrained(folder)
    clip_tokenizer().save_pretrained(folder)
    return str(folder)


def bert_tokenizer() -> BertTokenizer:
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    words = [*special, "a", "two", "cat", "dogs", "and", "clock", "that", "shows", "quarter", "to"]
    return BertTokenizer(vocab={word: number for number, word in enumerate(words)})


def blip_config() -> BlipConfig:
    shared = {"num_hidden_layers": 2, "num_attention_heads": 2}
    text = {"vocab_size": 15, "hidden_size": 16, "intermediate_size": 24, "max_position_embeddings": 40}
    vision = {"hidden_size": 20, "intermediate_size": 28, "image_size": 32, "patch_size": 8, "layer_norm_eps": 1e-6}
    return BlipConfig(text_config=text | shared, vision_config=vision | shared)


def open_clip_names(model: CLIPModel) -> dict[str, Tensor]:
    """The weights as open_clip's ``CLIP`` holds them, written from its source and not from our table."""
    state = model.state_dict()

    def tower(ours: str, theirs: str, layers: int) -> dict[str, Tensor]:
        found = {}
        for k in range(layers):
            old, new = f"{ours}.encoder.layers.{k}", f"{theirs}transformer.resblocks.{k}"
            for kind in ("weight", "bias"):
                parts = [state[f"{old}.self_attn.{part}_proj.{kind}"] for part in ("q", "k", "v")]
                found[f"{new}.attn.in_proj_{kind}"] = torch.cat(parts)
                found[f"{new}.attn.out_proj.{kind}"] = state[f"{old}.self_attn.out_proj.{kind}"]
                found[f"{new}.ln_1.{kind}"] = state[f"{old}.layer_norm1.{kind}"]
                found[f"{new}.ln_2.{kind}"] = state[f"{old}.layer_norm2.{kind}"]
                found[f"{new}.mlp.c_fc.{kind}"] = state[f"{old}.mlp.fc1.{kind}"]
                found[f"{new}.mlp.c_proj.{kind}"] = state[f"{old}.mlp.fc2.{kind}"]
        return found

    seen, read = "vision_model.embeddings", "text_model.embeddings"
    norms = {
        f"{theirs}.{kind}": state[f"{ours}.{kind}"]
        for theirs, ours in {
            "visual.ln_pre": "vision_model.pre_layrnorm", "visual.ln_post": "vision_model.post_layernorm",
            "ln_final": "text_model.final_layer_norm",
        }.items()
        for kind in ("weight", "bias")
    }  # fmt: skip
    return (
        norms
        | tower("vision_model", "visual.", 2)
        | tower("text_model", "", 2)
        | {
            "visual.class_embedding": state[f"{seen}.class_embedding"],
            "visual.positional_embedding": state[f"{seen}.position_embedding.weight"],
            "visual.conv1.weight": state[f"{seen}.patch_embedding.weight"],
            "visual.proj": state["visual_projection.weight"].T,
            "token_embedding.weight": state[f"{read}.token_embedding.weight"],
            "positional_embedding": state[f"{read}.position_embedding.weight"],
            "text_projection": state["text_projection.weight"].T,
            "logit_scale": state["logit_scale"],
        }
    )


def published_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of our network as ``ImageReward.pt`` holds them, written from its source and not from our table."""
    found = {name: value for name, value in state.items() if name.startswith("mlp.")}
    found |= {f"blip.text_encoder.{name[5:]}": value for name, value in state.items() if name.startswith("text.")}
    for k in range(2):
        old, new = f"vision.encoder.layers.{k}", f"blip.visual_encoder.blocks.{k}"
        for kind in ("weight", "bias"):
            for ours, theirs in {
                "layer_norm1": "norm1", "self_attn.qkv": "attn.qkv", "self_attn.projection": "attn.proj",
                "layer_norm2": "norm2", "mlp.fc1": "mlp.fc1", "mlp.fc2": "mlp.fc2",
            }.items():  # fmt: skip
                found[f"{new}.{theirs}.{kind}"] = state[f"{old}.{ours}.{kind}"]
    for kind in ("weight", "bias"):
        found[f"blip.visual_encoder.patch_embed.proj.{kind}"] = state[f"vision.embeddings.patch_embedding.{kind}"]
        found[f"blip.visual_encoder.norm.{kind}"] = state[f"vision.post_layernorm.{kind}"]
        found[f"blip.vision_proj.{kind}"] = found[f"blip.text_proj.{kind}"] = torch.ones(3)
    found["blip.visual_encoder.cls_token"] = state["vision.embeddings.class_embedding"]
    found["blip.visual_encoder.pos_embed"] = state["vision.embeddings.position_embedding"]
    found["blip.text_encoder.embeddings.position_ids"] = torch.arange(40)[None]
    return found


def slope_error(reward: Callable[[Tensor], Tensor], x: Tensor) -> float:
    """How far the slope of the sum of a reward at ``x`` is off a central difference along a random way, relatively."""
    way = torch.randn(x.shape, generator=torch.Generator().manual_seed(7), dtype=x.dtype)
    point = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(reward(point).sum(), point)
    with torch.no_grad():
        difference = (reward(x + 1e-5 * way).sum() - reward(x - 1e-5 * way).sum()) / 2e-5
    return (((slope * way).sum() - difference) / difference).abs().item()
