"""Generators of one step, SD-Turbo and SDXL-Turbo: a flow map without a velocity.

The U-Net predicts the noise e in ``x + sigma e``. Our x_t is that, times t, with ``sigma = (1 - t) / t``. A jump is a
step of DDIM, as ``EulerDiscreteScheduler`` makes it. At t = 0 sigma would be infinite; there it is the largest of
training.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor

from fmtt.checks import choice
from fmtt.flow.interpolant import expand
from fmtt.models.t2i.latents import Scaled
from fmtt.models.t2i.pipelines import pipeline_of
from fmtt.models.t2i.prompts import Encode, Encoder, PipelinePrompts, in_type
from fmtt.models.t2i.weights import Published, frozen, library, placed

TEXT = "encoder_hidden_states"


class Generator:
    """Jumps of a one-step generator. Methods in the space of the noise, best-of-N and rounds can use it.

    Args:
        unet: a ``UNet2DConditionModel`` that predicts noise, frozen.
        vae: an ``AutoencoderKL``, frozen.
        encoder: texts to :data:`TEXT` and to what the network is told besides.
        sigmas: the noise levels at which it was trained, rising, one for each of its times.
        height, width: of the pictures, in pixels.

    Raises:
        ValueError: if the size does not fit the autoencoder.
    """

    def __init__(self, unet: Any, vae: Any, encoder: Encoder, sigmas: Tensor, height: int, width: int):
        self.latents = Scaled(vae)
        if height % self.latents.down or width % self.latents.down:
            raise ValueError(f"model.height={height}, model.width={width}: must be multiples of {self.latents.down}")
        self.unet, self.encoder, self.sigmas = unet, encoder, sigmas
        self.shape = (self.latents.channels, height // self.latents.down, width // self.latents.down)

    def to(self, device: torch.device, dtype: torch.dtype) -> Self:
        """Moves the model to ``device``, its U-Net in ``dtype``; the autoencoder keeps its own type."""
        placed(self.unet, device, dtype)
        self.latents.vae.to(device)
        self.sigmas = self.sigmas.to(device)
        return self

    def encode_prompts(self, texts: Sequence[str]) -> Mapping[str, Tensor]:
        return self.encoder(texts)

    def flow_map(self, x: Tensor, s: Tensor, t: Tensor, condition: Mapping[str, Tensor]) -> Tensor:
        first = 1 / (1 + self.sigmas[-1]).to(s)
        known = s.clamp_min(first)
        x = expand((1 - first) / (1 - s.clamp_max(first)), x) * x
        noise = self.predict(x, known, in_type(condition, x.dtype))
        data = (x - expand(1 - known, x) * noise) / expand(known, x)
        return expand(t, x) * data + expand(1 - t, x) * noise

    def predict(self, x: Tensor, t: Tensor, told: Mapping[str, Tensor]) -> Tensor:
        """The noise in latents ``x (B, 4, h, w)`` at times ``t (B,)``, of the variance that the network knows."""
        length = expand(((1 - t) ** 2 + t**2).sqrt(), x)
        besides = {name: value for name, value in told.items() if name != TEXT}
        times = self.times((1 - t) / t)
        return self.unet(
            x / length, times, told[TEXT], added_cond_kwargs=besides or None, return_dict=False
        )[0]  # fmt: skip

    def times(self, sigma: Tensor) -> Tensor:
        """The times of the network at noise levels ``sigma (B,)``, linear in log sigma between those of training."""
        levels = self.sigmas.log().to(sigma)
        value = sigma.log()
        above = torch.searchsorted(levels, value).clamp(1, len(levels) - 1)
        low, high = levels[above - 1], levels[above]
        return above - 1 + ((value - low) / (high - low)).clamp(0, 1)

    def decode(self, latents: Tensor) -> Tensor:
        """Latents ``(B, 4, h, w)`` to pictures ``(B, 3, H, W)`` in [-1, 1], up to the decoder's overshoot."""
        return self.latents.decode(latents)

    def encode(self, pictures: Tensor) -> Tensor:
        """Pictures ``(B, 3, H, W)`` in [-1, 1] to latents."""
        return self.latents.encode(pictures)


class Family(NamedTuple):
    """What a pipeline is made of.

    Attributes:
        parts: the folders of the parts that encode prompts, and their classes in transformers.
        absent: the other arguments of the pipeline.
        encode: one text to what the network is told of it.
    """

    parts: Mapping[str, str]
    absent: Sequence[str]
    encode: Encode


def one_text(pipeline: Any, text: str) -> Mapping[str, Tensor]:
    return {TEXT: pipeline.encode_prompt([text], "cpu", 1, do_classifier_free_guidance=False)[0]}


def two_texts(pipeline: Any, text: str) -> Mapping[str, Tensor]:
    words, _, pooled, _ = pipeline.encode_prompt([text], do_classifier_free_guidance=False)
    return {TEXT: words, "text_embeds": pooled}


ONE = {"text_encoder": "CLIPTextModel", "tokenizer": "CLIPTokenizer"}
TWO = {**ONE, "text_encoder_2": "CLIPTextModelWithProjection", "tokenizer_2": "CLIPTokenizer"}
FAMILIES = {
    "StableDiffusionPipeline": Family(
        ONE, ("vae", "unet", "scheduler", "safety_checker", "feature_extractor"), one_text
    ),
    "StableDiffusionXLPipeline": Family(TWO, ("vae", "unet", "scheduler"), two_texts),
}


def with_sizes(encoder: Encoder, height: int, width: int) -> Encoder:
    """An encoder whose rows for SDXL also say the size of the picture, and that nothing was cropped."""

    def told(texts: Sequence[str]) -> Mapping[str, Tensor]:
        rows = encoder(texts)
        sizes = torch.tensor([height, width, 0, 0, height, width], dtype=torch.float32)
        return {**rows, "time_ids": sizes.expand(len(texts), -1)} if "text_embeds" in rows else rows

    return told


def load_generator(
    repository: str = "stabilityai/sd-turbo",
    height: int = 512,
    width: int = 512,
    checkpointing: bool = False,
    download: bool = False,
) -> Generator:
    """SD-Turbo, SDXL-Turbo, or another one-step model of these pipelines, from this machine.

    Args:
        repository: on the hub, or a folder of the same layout.
        height, width: of the pictures, in pixels.
        checkpointing: as in :func:`fmtt.models.t2i.weights.frozen`.
        download: whether what is not on this machine is fetched.

    Raises:
        ValueError: if diffusers or weights are missing, the size does not fit, or it is another pipeline.
    """
    diffusers = library("diffusers")
    weights = Published(repository, "Stability AI Community", gated=False, download=download)
    name = choice("model.repository", pipeline_of(weights), FAMILIES)
    family = FAMILIES[name]
    schedule = weights.part(diffusers.EulerDiscreteScheduler, "scheduler")
    if schedule.config.prediction_type != "epsilon":
        raise ValueError(f"model.repository={repository}: predicts {schedule.config.prediction_type}, must be epsilon")
    unet = frozen(weights.part(diffusers.UNet2DConditionModel, "unet"), checkpointing)
    vae = frozen(weights.part(diffusers.AutoencoderKL, "vae"), checkpointing)
    encoder = with_sizes(PipelinePrompts(weights, name, family.parts, family.absent, family.encode), height, width)
    return Generator(unet, vae, encoder, levels_of(schedule), height, width)


def levels_of(schedule: Any) -> Tensor:
    """The noise levels of an ``EulerDiscreteScheduler``, rising."""
    kept = schedule.alphas_cumprod.double()
    return ((1 - kept) / kept).sqrt().float()
