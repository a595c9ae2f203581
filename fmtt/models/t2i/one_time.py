"""The common part of flow-matching networks with one time: a velocity with classifier-free guidance."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from fmtt.flow.protocols import Evaluations
from fmtt.models.t2i.latents import Latents, OnLatents
from fmtt.models.t2i.prompts import Encoder, in_type

NEGATIVE = "negative_"  # begins the names of what the network is told of the empty prompt


class OneTime(OnLatents, ABC):
    """A velocity on latents, without a flow map.

    Args:
        transformer: a transformer of diffusers, frozen.
        vae: its autoencoder, frozen.
        encoder: texts to the arguments of the transformer, and to those of the negative prompt with :data:`NEGATIVE`.
        height, width: of the pictures, in pixels.
        guidance: the scale, as the pipeline counts it.

    Raises:
        ValueError: if the size does not fit.
    """

    latents_of: ClassVar[type[Latents]]
    patch: ClassVar[int] = 2  # latents along each side of a token

    def __init__(self, transformer: Any, vae: Any, encoder: Encoder, height: int, width: int, guidance: float):
        self.latents = self.latents_of(vae)
        self.shape = self.latents.shape(height, width, self.patch)
        self.transformer, self.encoder, self.guidance = transformer, encoder, guidance

    @property
    def tokens(self) -> int:
        """Tokens of a picture."""
        return self.shape[1] * self.shape[2] // self.patch**2

    def encode_prompts(self, texts: Sequence[str]) -> Mapping[str, Tensor]:
        return self.encoder(texts)

    @abstractmethod
    def predict(self, x: Tensor, t: Tensor, told: Mapping[str, Tensor]) -> Tensor:
        """``dx / dt`` for latents ``x (B, *D)`` at times ``t (B,)``, and the rows that the transformer is told."""

    @property
    def guided(self) -> bool:
        """Whether the negative prompt is asked, too."""
        return self.guidance > 1

    @property
    def evaluations(self) -> Evaluations:
        """Two for each velocity with guidance."""
        return Evaluations(velocity=2 if self.guided else 1)

    def combined(self, positive: Tensor, negative: Tensor) -> Tensor:
        """The velocity of both prompts together (classifier-free guidance, arXiv 2207.12598)."""
        return guided(positive, negative, self.guidance)

    def velocity(self, x: Tensor, t: Tensor, condition: Mapping[str, Tensor]) -> Tensor:
        positive = self.predict(x, t, of_text(condition, x.dtype))
        if not self.guided:
            return positive
        return self.combined(positive, self.predict(x, t, of_negative(condition, x.dtype)))


def guided(positive: Tensor, negative: Tensor, scale: float) -> Tensor:
    """The velocity of classifier-free guidance (arXiv 2207.12598); a scale of 1 is none."""
    return negative + scale * (positive - negative)


def of_text(condition: Mapping[str, Tensor], dtype: torch.dtype) -> Mapping[str, Tensor]:
    """What the network is told of the texts."""
    return in_type({name: value for name, value in condition.items() if not name.startswith(NEGATIVE)}, dtype)


def of_negative(condition: Mapping[str, Tensor], dtype: torch.dtype) -> Mapping[str, Tensor]:
    """What the network is told of the negative prompt."""
    begun = {name: value for name, value in condition.items() if name.startswith(NEGATIVE)}
    return in_type({name.removeprefix(NEGATIVE): value for name, value in begun.items()}, dtype)


def of_both(positive: Mapping[str, Tensor], negative: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """What a model is told of a text and of the negative prompt."""
    return {**positive, **{NEGATIVE + name: value for name, value in negative.items()}}


def scaled_to(vectors: Tensor, like: Tensor, dim: int) -> Tensor:
    """``vectors`` with the norms along ``dim`` of those in ``like``."""
    return vectors * (like.norm(dim=dim, keepdim=True) / vectors.norm(dim=dim, keepdim=True))
