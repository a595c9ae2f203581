"""How the flow-matching pipelines of diffusers call their transformers; arguments as :class:`OneTime`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from fmtt.models.t2i.exact_times import exact_times
from fmtt.models.t2i.flux3 import UNIT, positions
from fmtt.models.t2i.hunyuan_image import with_exact_times
from fmtt.models.t2i.latents import CELL, Compressed, Deep, Frames, Scaled, Whitened
from fmtt.models.t2i.one_time import OneTime, scaled_to
from fmtt.models.t2i.prompts import Encoder

KNOWN = "known"  # which tokens of a text are words, where the transformer is not told it by a name of its own


class StableDiffusion3(OneTime):
    """As ``StableDiffusion3Pipeline``, without its guidance by skipped layers."""

    latents_of = Scaled

    def predict(self, x: Tensor, t: Tensor, told: Mapping[str, Tensor]) -> Tensor:
        return -self.transformer(hidden_states=x, timestep=1000 * (1 - t), return_dict=False, **told)[0]


class AuraFlow(OneTime):
    """As ``AuraFlowPipeline``."""

    latents_of = Scaled

    def predict(self, x: Tensor, t: Tensor, told: Mapping[str, Tensor]) -> Tensor:
        return -self.transformer(x, timestep=1 - t, return_dict=False, **told)[0]


class Sana(OneTime):
    """As ``SanaPipeline``."""

    latents_of = Deep
    patch = 1
    unfit_precisions = frozenset({"16-mixed"})  # its linear attention adds 1e-15 to denominators

    def predict(self, x: Tensor, t: Tensor, told: Mapping[str, Tensor]) -> Tensor:
        level = UNIT * self.transformer.config.timestep_scale * (1 - t)
        return -self.transformer(hidden_states=x, timestep=level, return_dict=False, **told)[0]


class HunyuanImageBase(OneTime):
    """As ``HunyuanImagePipeline`` with weights that are not distilled, and ``ClassifierFreeGuidance``.

    The guider of the pipeline is that guidance for its first six steps. After them it remembers earlier steps, so that
    it is no function of place and time.

    Raises:
        ValueError: as :class:`OneTime`, and if the weights are distilled.
    """

    latents_of = Compressed
    patch = 1

    def __init__(self, transformer: Any, vae: Any, encoder: Encoder, height: int, width: int, guidance: float):
        if transformer.config.use_meanflow or transformer.config.guidance_embeds:
            raise ValueError("model.repository: has distilled weights, which have a flow map; use model=hunyuan_image")
        super().__init__(with_exact_times(transformer), vae, encoder, height, width, guidance)

    def predict(self, x: Tensor, t: Tensor, told: Mapping[str, Tensor]) -> Tensor:
        return -self.transformer(hidden_states=x, timestep=UNIT * (1 - t), return_dict=False, **told)[0]


class Lumina2(OneTime):
    """As ``Lumina2Pipeline``: the guided velocity keeps the norm of the plain one in each row of the latents."""

    latents_of = Scaled

    def predict(self, x: Tensor, t: Tensor, told: Mapping[str, Tensor]) -> Tensor:
        return self.transformer(hidden_states=x, timestep=t, return_dict=False, **told)[0]

    def combined(self, positive: Tensor, negative: Tensor) -> Tensor:
        return scaled_to(super().combined(positive, negative), positive, dim=-1)


class ZImage(OneTime):
    """As ``ZImagePipeline``, which counts guidance from 0: none."""

    latents_of = Scaled

    @property
    def guided(self) -> bool:
        return self.guidance > 0

    def predict(self, x: Tensor, t: Tensor, told: Mapping[str, Tensor]) -> Tensor:
        words = [row[known] for row, known in zip(told["words"], told[KNOWN], strict=True)]
        made = self.transformer(list(x[:, :, None]), t, words, return_dict=False)[0]
        return torch.stack(list(made))[:, :, 0]

    def combined(self, positive: Tensor, negative: Tensor) -> Tensor:
        return positive + self.guidance * (positive - negative)


class QwenImage(OneTime):
    """As ``QwenImagePipeline``: the guided velocity keeps the norm of the plain one in each token."""

    latents_of = Frames

    def predict(self, x: Tensor, t: Tensor, told: Mapping[str, Tensor]) -> Tensor:
        with exact_times(self.transformer.time_text_embed.time_proj, 1 - t):
            made = self.transformer(
                hidden_states=packed(x),
                timestep=1 - t,
                img_shapes=[[(1, *cells_of(x))]] * len(x),
                return_dict=False,
                **told,
            )[0]
        return -unpacked(made, x)

    def combined(self, positive: Tensor, negative: Tensor) -> Tensor:
        cells = F.pixel_unshuffle(super().combined(positive, negative), CELL)
        return F.pixel_shuffle(scaled_to(cells, F.pixel_unshuffle(positive, CELL), dim=1), CELL)


class Chroma(OneTime):
    """As ``ChromaPipeline``, which adds its masks to the scores of attention as they are, 1 and 0."""

    latents_of = Scaled

    def predict(self, x: Tensor, t: Tensor, told: Mapping[str, Tensor]) -> Tensor:
        words, known = told["encoder_hidden_states"], told[KNOWN]
        with exact_times(self.transformer.time_text_embed.time_proj, UNIT * (1 - t)):
            made = self.transformer(
                hidden_states=packed(x),
                encoder_hidden_states=words,
                timestep=1 - t,
                img_ids=positions(1, *cells_of(x)).to(x.device),
                txt_ids=torch.zeros(words.shape[1], 3, device=x.device),
                attention_mask=F.pad(known, (0, self.tokens), value=1),
                return_dict=False,
            )[0]
        return -unpacked(made, x)


class OvisImage(OneTime):
    """As ``OvisImagePipeline``."""

    latents_of = Scaled

    def predict(self, x: Tensor, t: Tensor, told: Mapping[str, Tensor]) -> Tensor:
        words = told["encoder_hidden_states"]
        places = torch.arange(words.shape[1], device=x.device).float()
        with exact_times(self.transformer.time_proj, UNIT * (1 - t)):
            made = self.transformer(
                hidden_states=packed(x),
                encoder_hidden_states=words,
                timestep=1 - t,
                img_ids=positions(1, *cells_of(x)).to(x.device),
                txt_ids=torch.stack([torch.zeros_like(places), places, places], dim=1),
                return_dict=False,
            )[0]
        return -unpacked(made, x)


class Flux2Klein(OneTime):
    """As ``Flux2KleinPipeline``; the distilled weights need guidance 1: none."""

    latents_of = Whitened
    patch = 1

    def predict(self, x: Tensor, t: Tensor, told: Mapping[str, Tensor]) -> Tensor:
        words = told["encoder_hidden_states"]
        places = positions(1, *x.shape[2:], 1), positions(1, 1, 1, words.shape[1])
        image, text = (ids.to(x.device).expand(len(x), -1, -1) for ids in places)
        with exact_times(self.transformer.time_guidance_embed.time_proj, UNIT * (1 - t)):
            made = self.transformer(
                hidden_states=x.flatten(2).transpose(1, 2),
                encoder_hidden_states=words,
                timestep=1 - t,
                guidance=self.told_guidance(t),
                img_ids=image,
                txt_ids=text,
                return_dict=False,
            )[0]
        return -made.transpose(1, 2).reshape(x.shape)

    def told_guidance(self, t: Tensor) -> Tensor | None:
        """The scale that the transformer itself is told, ``(B,)``."""
        return None


class Flux2(Flux2Klein):
    """As ``Flux2Pipeline``: the transformer is told the scale of the guidance."""

    guided = False

    def told_guidance(self, t: Tensor) -> Tensor:
        return torch.full_like(t, self.guidance)


def cells_of(x: Tensor) -> tuple[int, int]:
    """Cells of 2 x 2 latents in each column and in each row of latents ``x (B, C, h, w)``."""
    return x.shape[2] // CELL, x.shape[3] // CELL


def packed(x: Tensor) -> Tensor:
    """Latents ``(B, C, h, w)`` as the tokens of FLUX.1, ``(B, h w / 4, 4 C)``."""
    return F.pixel_unshuffle(x, CELL).flatten(2).transpose(1, 2)


def unpacked(tokens: Tensor, like: Tensor) -> Tensor:
    """Tokens as latents of the shape of ``like``."""
    return F.pixel_shuffle(tokens.transpose(1, 2).unflatten(2, cells_of(like)), CELL)
