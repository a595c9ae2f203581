"""Tiny random vision-language models of both families, in folders with the layout of the published ones."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.trainers import BpeTrainer
from torch import nn
from transformers import (
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2_5_VLProcessor,
    Qwen2VLImageProcessor,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
    Qwen3VLProcessor,
)
from transformers.models.qwen2_vl.video_processing_qwen2_vl import Qwen2VLVideoProcessor
from transformers.models.qwen3_vl.video_processing_qwen3_vl import Qwen3VLVideoProcessor

from tests.t2i.tiny import moved

FAMILIES = ("qwen2_5_vl", "qwen3_vl")
WIDTH = 32  # of a token
SPECIAL = (
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>",
    "<|video_pad|>",
)  # fmt: skip
NUMBERS = {"image_token_id": 5, "video_token_id": 6, "vision_start_token_id": 3, "vision_end_token_id": 4}
WORDS = "Yes yes No no Yes yes No no: does this picture show a cat or an analog clock? Is the same man in both? Answer"
TEMPLATE = (  # as in the published repositories, with text and pictures in the place of all kinds of content
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
PATCH = 4  # pixels along a side
BOUNDS = {"shortest_edge": 16 * 16, "longest_edge": 32 * 32}  # pixels of a picture
COLOURS = {"image_mean": [0.48, 0.45, 0.4], "image_std": [0.27, 0.26, 0.28]}


def tokenizer(words: str = WORDS, merges: int = 120) -> PreTrainedTokenizerFast:
    """Pairs of bytes, as the published ones: blanks belong to words, and rare words are split."""
    plain = Tokenizer(BPE())
    plain.pre_tokenizer, plain.decoder = ByteLevel(add_prefix_space=False), ByteLevelDecoder()
    alphabet = sorted(ByteLevel.alphabet())
    plain.train_from_iterator(
        [words], BpeTrainer(vocab_size=len(SPECIAL) + len(alphabet) + merges, special_tokens=list(SPECIAL),
                            initial_alphabet=alphabet, show_progress=False),
    )  # fmt: skip
    return PreTrainedTokenizerFast(tokenizer_object=plain, pad_token=SPECIAL[0], eos_token=SPECIAL[2])


def language(size: int) -> dict[str, object]:
    return {
        "vocab_size": size, "hidden_size": WIDTH, "intermediate_size": 32, "num_hidden_layers": 2, "pad_token_id": 0,
        "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 512,
        "rope_parameters": {"rope_type": "default", "rope_theta": 100.0, "mrope_section": [2, 1, 1]},
    }  # fmt: skip


def vision() -> dict[str, object]:
    return {
        "depth": 2, "hidden_size": 16, "intermediate_size": 16, "num_heads": 2, "patch_size": PATCH,
        "out_hidden_size": WIDTH,
    }  # fmt: skip


def qwen2_5_vl(size: int) -> nn.Module:
    """Its first layer of vision looks at windows of 2 by 2 tokens, its second at whole pictures."""
    torch.manual_seed(5)
    tower = vision() | {"window_size": 4 * PATCH, "fullatt_block_indexes": [1]}
    config = Qwen2_5_VLConfig(text_config=language(size), vision_config=tower, **NUMBERS)
    return spread(Qwen2_5_VLForConditionalGeneration(config))


def qwen3_vl(size: int) -> nn.Module:
    torch.manual_seed(6)
    tower = vision() | {"num_position_embeddings": 16, "deepstack_visual_indexes": [0]}
    text = language(size) | {"head_dim": 8}
    config = Qwen3VLConfig(text_config=text, vision_config=tower, **NUMBERS)
    return spread(Qwen3VLForConditionalGeneration(config))


def spread(net: nn.Module) -> nn.Module:
    """The moved network with larger weights of attention: with small ones all places would be looked at alike."""
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if parameter.ndim > 1:
                parameter.mul_(4.0 if "attn" in name or "qkv" in name else 2.0)
    return moved(net)


MODELS = {"qwen2_5_vl": qwen2_5_vl, "qwen3_vl": qwen3_vl}
PROCESSORS = {
    "qwen2_5_vl": (Qwen2_5_VLProcessor, Qwen2VLVideoProcessor),
    "qwen3_vl": (Qwen3VLProcessor, Qwen3VLVideoProcessor),
}


def save_vlm(family: str, folder: Path, words: PreTrainedTokenizerFast | None = None) -> str:
    """A repository of the family in ``folder``, and its path."""
    words = tokenizer() if words is None else words
    MODELS[family](len(words)).save_pretrained(folder)
    kind, video = PROCESSORS[family]
    pictures = Qwen2VLImageProcessor(size=dict(BOUNDS), patch_size=PATCH, **COLOURS)
    kind(pictures, words, video(patch_size=PATCH), chat_template=TEMPLATE).save_pretrained(folder)
    return str(folder)
