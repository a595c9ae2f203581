"""The reward ``imagereward`` (arXiv 2304.05977): a BLIP that reads the prompt while it looks at the picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from fmtt.checks import finite
from fmtt.models.t2i.weights import library
from fmtt.rewards.t2i.networks import Head, filled, on, renamed
from fmtt.rewards.t2i.pixels import centred
from fmtt.rewards.t2i.prompts import needed, tokens_of
from fmtt.rewards.t2i.published import PublishedReward

MEAN, STD = 0.16717362830052426, 1.0333394966054072  # of the head's output on the published data
LONGEST = 35  # tokens of a prompt

# parts of the names in the published file, and ours; the head has the same names in both
NAMES = (
    ("blip.visual_encoder.blocks.", "vision.encoder.layers."),
    ("blip.visual_encoder.patch_embed.proj.", "vision.embeddings.patch_embedding."),
    ("blip.visual_encoder.cls_token", "vision.embeddings.class_embedding"),
    ("blip.visual_encoder.pos_embed", "vision.embeddings.position_embedding"),
    ("blip.visual_encoder.norm.", "vision.post_layernorm."),
    ("blip.text_encoder.", "text."),
    (".attn.proj.", ".self_attn.projection."),
    (".attn.qkv.", ".self_attn.qkv."),
    (".norm1.", ".layer_norm1."),
    (".norm2.", ".layer_norm2."),
)
# BLIP's contrastive loss, and the numbers 0, 1, 2, ..., which transformers does not save
UNUSED = ("blip.vision_proj.", "blip.text_proj.", "blip.text_encoder.embeddings.position_ids")


class ImageRewardNetwork(nn.Module):
    """Pictures ``(B, 3, H, W)`` in [-1, 1] and the tokens of their prompts ``(B, L)`` to scores ``(B,)``.

    Args:
        config: a ``BlipConfig``.
    """

    def __init__(self, config: Any):
        super().__init__()
        kinds = library("transformers")
        self.vision = kinds.BlipVisionModel(config.vision_config)
        self.text = kinds.BlipTextModel(config.text_config, add_pooling_layer=False)
        self.mlp = Head(config.text_config.hidden_size)

    def forward(self, x: Tensor, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        pixels = centred(x.to(self.vision.dtype), self.vision.config.image_size)
        seen = self.vision(pixel_values=pixels).last_hidden_state
        words = self.text(input_ids=input_ids, attention_mask=attention_mask, encoder_hidden_states=seen)
        return (self.mlp(words.last_hidden_state[:, 0])[:, 0] - MEAN) / STD


@dataclass(frozen=True)
class ImageReward:
    """``r(x)`` is the score of ImageReward, about normal over its data, for pictures ``(B, 3, H, W)`` of any size.

    Attributes:
        network: it follows the pictures to their device.
        tokenizer: of BERT, in lower case.
        scale: multiplies the reward.
    """

    network: ImageRewardNetwork = field(repr=False)
    tokenizer: Any = field(repr=False)
    scale: float = 1.0

    def __post_init__(self) -> None:
        finite("reward.scale", self.scale)

    def encode_prompts(self, texts: Sequence[str]) -> Mapping[str, Tensor]:
        """The tokens of P texts ``(P, 35)``, by the names of ``BlipTextModel``."""
        return tokens_of(self.tokenizer, texts, LONGEST)

    def __call__(self, x: Tensor, condition: Mapping[str, Tensor] | None = None) -> Tensor:
        tokens = {name: rows.to(x.device) for name, rows in needed(condition).items()}
        return on(self.network, x.device)(x, **tokens)


def from_published(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of ``ImageReward.pt`` by our names, without :data:`UNUSED`; unknown names stay as they are."""
    return {renamed(name, NAMES): value for name, value in tensors.items() if not name.startswith(UNUSED)}


def published_config() -> Any:
    """The ``BlipConfig`` of the published network: ViT-L/16 at 224 pixels, and ``med_config.json``."""
    vision = {
        "hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24, "num_attention_heads": 16,
        "image_size": 224, "layer_norm_eps": 1e-6,
    }  # fmt: skip
    return library("transformers").BlipConfig(text_config={"num_attention_heads": 12}, vision_config=vision)


def load_imagereward(
    repository: str = "THUDM/ImageReward",
    tokenizer: str = "google-bert/bert-base-uncased",
    scale: float = 1.0,
    download: bool = False,
) -> ImageReward:
    """ImageReward v1.0.

    Args:
        repository: on the hub, or a folder with the file ``ImageReward.pt``. The licence is Apache-2.0.
        tokenizer: the repository of the tokenizer, licence Apache-2.0.
        scale: multiplies the reward.
        download: whether what is not on this machine is fetched.

    Raises:
        ValueError: if transformers or weights are missing, or a tensor of the file does not fit.
    """
    tensors = PublishedReward(repository, "Apache-2.0", gated=False, download=download).tensors("ImageReward.pt")
    network = filled(ImageRewardNetwork(published_config()), from_published(tensors), "ImageReward.pt")
    words = PublishedReward(tokenizer, "Apache-2.0", gated=False, download=download, setting="reward.tokenizer")
    return ImageReward(network, words.tokenizer(), scale)
