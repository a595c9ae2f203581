"""How the flow-matching pipelines of diffusers call their transformers; arguments as :class:`OneTime`."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from fmtt.models.t2i.exact_times import exact_times
from fmtt.models.t2i.flux3 import UNIT, positions
from fmtt.models.t2i.latents import CELL, Frames, Scaled, Whitened
from fmtt.models.t2i.one_time import OneTime, scaled_to


class StableDiffusion3(OneTime):
    """As ``StableDiffusion3Pipeline``, without its guidance by skipped layers."""

    latents_of = Scaled

    def predict(self, x: Tensor, t: Tensor, told: Mapping[str, Tensor]) -> Tensor:
        return -self.transformer(hidden_states=x, timestep=1000 * (1 - t), return_dict=False, **told)[0]


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
        words = [row[known] for row, known in zip(told["words"], told["known"], strict=True)]
        made = self.transformer(list(x[:, :, None]), t, words, return_dict=False)[0]
        return torch.stack(list(made))[:, :, 0]

    def combined(self, positive: Tensor, negative: Tensor) -> Tensor:
        return positive + self.guidance * (positive - negative)


class QwenImage(OneTime):
    """As ``QwenImagePipeline``: the guided velocity keeps the norm of the plain one in each token."""

    latents_of = Frames

    def predict(self, x: Tensor, t: Tensor, told: Mapping[str, Tensor]) -> Tensor:
        cells = F.pixel_unshuffle(x, CELL)
        with exact_times(self.transformer.time_text_embed.time_proj, 1 - t):
            made = self.transformer(
                hidden_states=cells.flatten(2).transpose(1, 2),
                timestep=1 - t,
                img_shapes=[[(1, *cells.shape[2:])]] * len(x),
                return_dict=False,
                **told,
            )[0]
        return -F.pixel_shuffle(made.transpose(1, 2).reshape(cells.shape), CELL)

    def combined(self, positive: Tensor, negative: Tensor) -> Tensor:
        cells = F.pixel_unshuffle(super().combined(positive, negative), CELL)
        return F.pixel_shuffle(scaled_to(cells, F.pixel_unshuffle(positive, CELL), dim=1), CELL)


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
