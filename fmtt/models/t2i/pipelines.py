"""Any flow-matching pipeline of diffusers of the table :data:`FAMILIES`, as a velocity without a flow map.

Its look-ahead is the denoiser. What differs between the pipelines is in :mod:`fmtt.models.t2i.families`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from fmtt.checks import choice
from fmtt.models.t2i.families import Flux2, Flux2Klein, Lumina2, QwenImage, StableDiffusion3, ZImage
from fmtt.models.t2i.flux import FluxVelocity, Told
from fmtt.models.t2i.grids import Mu, by_tokens, by_tokens_and_steps, grid_of
from fmtt.models.t2i.one_time import OneTime, of_both
from fmtt.models.t2i.prompts import Encode, Encoder, PipelinePrompts
from fmtt.models.t2i.tiny_decoders import with_tiny_decoder
from fmtt.models.t2i.weights import Published, frozen, library, quiet

Row = Mapping[str, Tensor]


class Family(NamedTuple):
    """What one pipeline is made of.

    Attributes:
        model: its velocity; arguments as :class:`fmtt.models.t2i.one_time.OneTime`.
        transformer, vae: the names of their classes in diffusers.
        parts: the folders of the parts that encode prompts, and their classes in transformers.
        encode: one text to what the model is told of it.
        guidance: its usual scale.
        mu: the shift of its noise levels, where its scheduler wants one.
    """

    model: Callable[..., Any]
    transformer: str
    vae: str
    parts: Mapping[str, str]
    encode: Encode
    guidance: float
    mu: Mu = by_tokens


def flux_dev(transformer: Any, vae: Any, encoder: Encoder, height: int, width: int, guidance: float) -> FluxVelocity:
    """FLUX.1 with one time; arguments as :class:`OneTime`."""
    return FluxVelocity(transformer, vae, lambda texts: Told(**encoder(texts)), height, width, guidance)


def flux_row(pipeline: Any, text: str) -> Row:
    words, pooled, _ = pipeline.encode_prompt([text], None)
    return {"words": words, "pooled": pooled}


def flux2_row(pipeline: Any, text: str) -> Row:
    return {"encoder_hidden_states": pipeline.encode_prompt([text])[0]}


def flux2_klein_rows(pipeline: Any, text: str) -> Row:
    return of_both(flux2_row(pipeline, text), flux2_row(pipeline, ""))


def stable_diffusion_3_rows(pipeline: Any, text: str) -> Row:
    words, no_words, pooled, no_pooled = pipeline.encode_prompt([text], None, None)
    rows = ((words, pooled), (no_words, no_pooled))
    return of_both(*({"encoder_hidden_states": row[0], "pooled_projections": row[1]} for row in rows))


def lumina2_rows(pipeline: Any, text: str) -> Row:
    words, known, no_words, no_known = pipeline.encode_prompt([text])
    rows = ((words, known), (no_words, no_known))
    return of_both(*({"encoder_hidden_states": row[0], "encoder_attention_mask": row[1]} for row in rows))


def z_image_rows(pipeline: Any, text: str) -> Row:
    rows = pipeline.encode_prompt([text])
    return of_both(*({"words": words[None], "known": known(words[None])} for (words,) in rows))


def qwen_image_rows(pipeline: Any, text: str) -> Row:
    """The negative prompt is one space, as Qwen recommends; an empty one is no text at all."""
    rows = (pipeline.encode_prompt([given])[0] for given in (text, " "))
    return of_both(*({"encoder_hidden_states": words, "encoder_hidden_states_mask": known(words)} for words in rows))


def known(words: Tensor) -> Tensor:
    """That all tokens of ``words (B, T, C)`` are text, ``(B, T)``; padding will be False."""
    return torch.ones(words.shape[:2], dtype=torch.bool, device=words.device)


ONE = {"tokenizer": "AutoTokenizer"}
TWO = {**ONE, "tokenizer_2": "AutoTokenizer"}
THREE = {**TWO, "tokenizer_3": "AutoTokenizer"}
CLIP = "CLIPTextModelWithProjection"
FAMILIES = {
    "FluxPipeline": Family(
        flux_dev, "FluxTransformer2DModel", "AutoencoderKL",
        {"text_encoder": "CLIPTextModel", "text_encoder_2": "T5EncoderModel", **TWO}, flux_row, 3.5,
    ),
    "Flux2Pipeline": Family(
        Flux2, "Flux2Transformer2DModel", "AutoencoderKLFlux2",
        {"text_encoder": "Mistral3ForConditionalGeneration", "tokenizer": "AutoProcessor"}, flux2_row, 4.0,
        by_tokens_and_steps,
    ),
    "Flux2KleinPipeline": Family(
        Flux2Klein, "Flux2Transformer2DModel", "AutoencoderKLFlux2",
        {"text_encoder": "Qwen3ForCausalLM", **ONE}, flux2_klein_rows, 1.0, by_tokens_and_steps,
    ),
    "Lumina2Pipeline": Family(
        Lumina2, "Lumina2Transformer2DModel", "AutoencoderKL",
        {"text_encoder": "Gemma2Model", **ONE}, lumina2_rows, 4.0,
    ),
    "QwenImagePipeline": Family(
        QwenImage, "QwenImageTransformer2DModel", "AutoencoderKLQwenImage",
        {"text_encoder": "Qwen2_5_VLForConditionalGeneration", **ONE}, qwen_image_rows, 4.0,
    ),
    "StableDiffusion3Pipeline": Family(
        StableDiffusion3, "SD3Transformer2DModel", "AutoencoderKL",
        {"text_encoder": CLIP, "text_encoder_2": CLIP, "text_encoder_3": "T5EncoderModel", **THREE},
        stable_diffusion_3_rows, 7.0,
    ),
    "ZImagePipeline": Family(
        ZImage, "ZImageTransformer2DModel", "AutoencoderKL", {"text_encoder": "AutoModel", **ONE}, z_image_rows, 5.0
    ),
}  # fmt: skip


def load_pipeline(
    repository: str,
    height: int = 1024,
    width: int = 1024,
    guidance: float | None = None,
    licence: str = "see its page on the hub",
    tiny_decoder: str | None = None,
    checkpointing: bool = False,
    download: bool = False,
) -> OneTime | FluxVelocity:
    """A pipeline from this machine.

    Args:
        repository: on the hub, or a folder of the same layout; its ``model_index.json`` names the pipeline.
        height, width: of the pictures, in pixels.
        guidance: the scale, as the pipeline counts it; None for its usual one.
        licence: the name that is shown where weights are missing.
        tiny_decoder: repository of :func:`fmtt.models.t2i.tiny_decoders.with_tiny_decoder`.
        checkpointing: as in :func:`fmtt.models.t2i.weights.frozen`.
        download: whether what is not on this machine is fetched.

    Raises:
        ValueError: if diffusers or weights are missing, the size does not fit, or the pipeline is not in the table.
    """
    diffusers, weights = library("diffusers"), Published(repository, licence, gated=False, download=download)
    name = choice("model.repository", pipeline_of(weights), FAMILIES)
    family = FAMILIES[name]
    scale = family.guidance if guidance is None else guidance
    transformer = weights.network_in(getattr(diffusers, family.transformer), "transformer")
    vae = weights.network_in(getattr(diffusers, family.vae), "vae")
    encoder = PipelinePrompts(weights, name, family.parts, ("scheduler", "vae", "transformer"), family.encode)
    transformer, vae = (frozen(part, checkpointing) for part in (transformer, vae))
    made: OneTime | FluxVelocity = family.model(transformer, vae, encoder, height, width, scale)
    made.grid = grid_of(weights, made.tokens, family.mu)
    return with_tiny_decoder(made, tiny_decoder, download)


def pipeline_of(weights: Published) -> str:
    """The name of the pipeline's class.

    Raises:
        ValueError: if ``model_index.json`` is not there.
    """
    kind = library("diffusers").DiffusionPipeline
    try:
        with quiet():
            found = kind.load_config(weights.repository, local_files_only=not weights.download)
    except OSError as error:
        raise ValueError(weights.missing("model_index.json")) from error
    return str(found["_class_name"])
