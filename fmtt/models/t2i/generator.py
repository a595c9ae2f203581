"""Generators of one step, SD-Turbo and SDXL-Turbo: a flow map without a velocity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor

from fmtt.flow.interpolant import expand
from fmtt.models.t2i.latents import OnLatents, Scaled
from fmtt.models.t2i.noise_network import POOLED, TEXT, NoiseNetwork, levels_of, noise_scheduler, with_sizes
from fmtt.models.t2i.pipelines import pipeline_of
from fmtt.models.t2i.placement import Place
from fmtt.models.t2i.prompts import Encode, Encoder, PipelinePrompts, in_type
from fmtt.models.t2i.tiny_decoders import with_tiny_decoder
from fmtt.models.t2i.weights import Published, frozen, library


class Generator(OnLatents):
    """Jumps of a one-step generator. Methods in the space of the noise, best-of-N and rounds can use it.

    A jump is a step of DDIM, as ``EulerDiscreteScheduler`` makes it.

    Args:
        network: the network.
        vae: an ``AutoencoderKL``, frozen.
        encoder: texts to what the network is told.
        height, width: of the pictures, in pixels.

    Raises:
        ValueError: if the size does not fit the autoencoder.
    """

    def __init__(self, network: NoiseNetwork, vae: Any, encoder: Encoder, height: int, width: int):
        self.latents = Scaled(vae)
        self.shape = self.latents.shape(height, width)
        self.network, self.encoder = network, encoder

    def arranged(self, place: Place, device: torch.device, dtype: torch.dtype) -> Self:
        self.network = self.network.arranged(place, device, dtype)
        return super().arranged(place, device, dtype)

    @property
    def networks(self) -> Sequence[Any]:
        return ()  # it has its times with it

    def encode_prompts(self, texts: Sequence[str]) -> Mapping[str, Tensor]:
        return self.encoder(texts)

    def flow_map(self, x: Tensor, s: Tensor, t: Tensor, condition: Mapping[str, Tensor]) -> Tensor:
        found = self.network.split(x, s, in_type(condition, x.dtype))
        return expand(t, x) * found.data + expand(1 - t, x) * found.noise


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
    return {TEXT: words, POOLED: pooled}


ONE = {"text_encoder": "CLIPTextModel", "tokenizer": "CLIPTokenizer"}
TWO = {**ONE, "text_encoder_2": "CLIPTextModelWithProjection", "tokenizer_2": "CLIPTokenizer"}
FAMILIES = {
    "StableDiffusionPipeline": Family(
        ONE, ("vae", "unet", "scheduler", "safety_checker", "feature_extractor"), one_text
    ),
    "StableDiffusionXLPipeline": Family(TWO, ("vae", "unet", "scheduler"), two_texts),
}


def load_generator(
    repository: str = "stabilityai/sd-turbo",
    height: int = 512,
    width: int = 512,
    tiny_decoder: str | None = None,
    checkpointing: bool = False,
    download: bool = False,
) -> Generator:
    """SD-Turbo, SDXL-Turbo, or another one-step model of these pipelines, from this machine.

    Args:
        repository: on the hub, or a folder of the same layout.
        height, width: of the pictures, in pixels.
        tiny_decoder: repository of :func:`fmtt.models.t2i.tiny_decoders.with_tiny_decoder`.
        checkpointing: as in :func:`fmtt.models.t2i.weights.frozen`.
        download: whether what is not on this machine is fetched.

    Raises:
        ValueError: if diffusers or weights are missing, the size does not fit, or it is another pipeline.
    """
    diffusers = library("diffusers")
    weights = Published(repository, "Stability AI Community", gated=False, download=download)
    name = pipeline_of(weights, FAMILIES)
    family = FAMILIES[name]
    schedule = noise_scheduler(weights)
    unet = frozen(weights.backbone_in(diffusers.UNet2DConditionModel, "unet"), checkpointing)
    vae = frozen(weights.network_in(diffusers.AutoencoderKL, "vae"), checkpointing)
    encoder = with_sizes(PipelinePrompts(weights, name, family.parts, family.absent, family.encode), height, width)
    made = Generator(NoiseNetwork(unet, levels_of(schedule)), vae, encoder, height, width)
    return with_tiny_decoder(made, tiny_decoder, download)
