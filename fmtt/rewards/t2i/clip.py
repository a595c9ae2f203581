"""The cosine between a picture and its prompt in the space of a CLIP, and the reward ``clip``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fmtt.checks import finite
from fmtt.models.t2i.weights import library
from fmtt.rewards.t2i.networks import frozen, on
from fmtt.rewards.t2i.pixels import Preparation, cropped
from fmtt.rewards.t2i.prompts import needed, tokens_of
from fmtt.rewards.t2i.published import PublishedReward


class PictureTower(nn.Module):
    """The half of a CLIP that sees: pictures ``(B, 3, H, W)`` in [-1, 1] to embeddings of length 1, ``(B, E)``.

    Args:
        clip: a ``CLIPModel``.
        prepare: how a picture becomes a square.
    """

    def __init__(self, clip: Any, prepare: Preparation = cropped):
        super().__init__()
        self.vision, self.projection, self.prepare = clip.vision_model, clip.visual_projection, prepare

    def forward(self, x: Tensor) -> Tensor:
        pixels = self.prepare(x.to(self.projection.weight.dtype), self.vision.config.image_size)
        return F.normalize(self.projection(self.vision(pixel_values=pixels).pooler_output), dim=1)


class TextTower:
    """The half of a CLIP that reads. It is used once, so it stays on the CPU.

    Args:
        clip: a ``CLIPModel``.
        tokenizer: its tokenizer.
    """

    def __init__(self, clip: Any, tokenizer: Any):
        self.text, self.projection, self.tokenizer = clip.text_model, clip.text_projection, tokenizer

    @torch.no_grad()
    def __call__(self, texts: Sequence[str]) -> Tensor:
        """Embeddings of length 1, ``(P, E)``."""
        tokens = tokens_of(self.tokenizer, texts, self.text.config.max_position_embeddings)
        return F.normalize(self.projection(self.text(**tokens).pooler_output), dim=1)


@dataclass(frozen=True)
class ClipScore:
    """``r(x) = factor cos(picture, prompt)`` for pictures ``(B, 3, H, W)`` in [-1, 1] of any size.

    Attributes:
        pictures: embeds pictures; it follows them to their device.
        texts: embeds prompts.
        factor: 1 for the cosine, ``exp(logit_scale)`` for the logit.
        scale: multiplies the reward.
    """

    pictures: PictureTower = field(repr=False)
    texts: TextTower = field(repr=False)
    factor: float = 1.0
    scale: float = 1.0

    def __post_init__(self) -> None:
        finite("reward.scale", self.scale)

    def encode_prompts(self, texts: Sequence[str]) -> Tensor:
        """The embeddings of P texts, ``(P, E)``."""
        return self.texts(texts)

    def __call__(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        seen = on(self.pictures, x.device)(x)
        return self.factor * (seen * needed(condition).to(seen)).sum(1)


def load_clip(
    repository: str = "openai/clip-vit-large-patch14", scale: float = 1.0, download: bool = False
) -> ClipScore:
    """The cosine of any ``CLIPModel`` with its tokenizer; CLIP ViT-L/14 of OpenAI has the licence MIT.

    Args:
        repository: on the hub, or a folder of the same layout.
        scale: multiplies the reward.
        download: whether what is not on this machine is fetched.

    Raises:
        ValueError: if transformers or weights are missing.
    """
    kinds = library("transformers")
    weights = PublishedReward(repository, "MIT", gated=False, download=download)
    clip = frozen(weights.network(kinds.CLIPModel))
    return ClipScore(PictureTower(clip), TextTower(clip, weights.tokenizer()), scale=scale)
