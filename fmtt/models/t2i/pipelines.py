"""The flow-matching pipelines of diffusers of the table :data:`FAMILIES`, as velocities without a flow map.

Their look-ahead is the denoiser. What differs between the pipelines is in :mod:`fmtt.models.t2i.families`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

from fmtt.models.t2i import encodings, families, hunyuan_image
from fmtt.models.t2i.flux import FluxVelocity, Told
from fmtt.models.t2i.grids import Levels, Mu, by_tokens, by_tokens_and_steps, falling, grid_of, own
from fmtt.models.t2i.one_time import OneTime
from fmtt.models.t2i.prompts import Encode, Encoder, PipelinePrompts
from fmtt.models.t2i.tiny_decoders import with_tiny_decoder
from fmtt.models.t2i.weights import Published, frozen, library


class Family(NamedTuple):
    """What one pipeline is made of.

    Attributes:
        model: its velocity; arguments as :class:`fmtt.models.t2i.one_time.OneTime`.
        transformer, vae: the names of their classes in diffusers.
        parts: the folders of the parts that encode prompts, and their classes in transformers.
        encode: one text to what the model is told of it.
        guidance: its usual scale.
        mu: the shift of its noise levels, where its scheduler wants one.
        levels: what it tells its scheduler of the noise levels.
    """

    model: Callable[..., Any]
    transformer: str
    vae: str
    parts: Mapping[str, str]
    encode: Encode
    guidance: float
    mu: Mu = by_tokens
    levels: Levels = falling


def flux_dev(transformer: Any, vae: Any, encoder: Encoder, height: int, width: int, guidance: float) -> FluxVelocity:
    """FLUX.1 with one time; arguments as :class:`OneTime`."""
    return FluxVelocity(transformer, vae, lambda texts: Told(**encoder(texts)), height, width, guidance)


ONE = {"tokenizer": "AutoTokenizer"}
TWO = {**ONE, "tokenizer_2": "AutoTokenizer"}
THREE = {**TWO, "tokenizer_3": "AutoTokenizer"}
CLIP = "CLIPTextModelWithProjection"
FAMILIES = {
    "AuraFlowPipeline": Family(
        families.AuraFlow, "AuraFlowTransformer2DModel", "AutoencoderKL",
        {"text_encoder": "UMT5EncoderModel", **ONE}, encodings.aura_flow_rows, 3.5, levels=own,
    ),
    "ChromaPipeline": Family(
        families.Chroma, "ChromaTransformer2DModel", "AutoencoderKL",
        {"text_encoder": "T5EncoderModel", **ONE}, encodings.chroma_rows, 5.0,
    ),
    "FluxPipeline": Family(
        flux_dev, "FluxTransformer2DModel", "AutoencoderKL",
        {"text_encoder": "CLIPTextModel", "text_encoder_2": "T5EncoderModel", **TWO}, encodings.flux_row, 3.5,
    ),
    "Flux2Pipeline": Family(
        families.Flux2, "Flux2Transformer2DModel", "AutoencoderKLFlux2",
        {"text_encoder": "Mistral3ForConditionalGeneration", "tokenizer": "AutoProcessor"}, encodings.flux2_row, 4.0,
        by_tokens_and_steps,
    ),
    "Flux2KleinPipeline": Family(
        families.Flux2Klein, "Flux2Transformer2DModel", "AutoencoderKLFlux2",
        {"text_encoder": "Qwen3ForCausalLM", **ONE}, encodings.flux2_klein_rows, 1.0, by_tokens_and_steps,
    ),
    "HunyuanImagePipeline": Family(
        families.HunyuanImageBase, "HunyuanImageTransformer2DModel", "AutoencoderKLHunyuanImage",
        hunyuan_image.PARTS, encodings.hunyuan_image_rows, 3.5,
    ),
    "Lumina2Pipeline": Family(
        families.Lumina2, "Lumina2Transformer2DModel", "AutoencoderKL",
        {"text_encoder": "Gemma2Model", **ONE}, encodings.lumina2_rows, 4.0,
    ),
    "OvisImagePipeline": Family(
        families.OvisImage, "OvisImageTransformer2DModel", "AutoencoderKL",
        {"text_encoder": "Qwen3Model", **ONE}, encodings.ovis_image_rows, 5.0,
    ),
    "QwenImagePipeline": Family(
        families.QwenImage, "QwenImageTransformer2DModel", "AutoencoderKLQwenImage",
        {"text_encoder": "Qwen2_5_VLForConditionalGeneration", **ONE}, encodings.qwen_image_rows, 4.0,
    ),
    "SanaPipeline": Family(
        families.Sana, "SanaTransformer2DModel", "AutoencoderDC",
        {"text_encoder": "Gemma2Model", **ONE}, encodings.sana_rows, 4.5, levels=own,
    ),
    "StableDiffusion3Pipeline": Family(
        families.StableDiffusion3, "SD3Transformer2DModel", "AutoencoderKL",
        {"text_encoder": CLIP, "text_encoder_2": CLIP, "text_encoder_3": "T5EncoderModel", **THREE},
        encodings.stable_diffusion_3_rows, 7.0, levels=own,
    ),
    "ZImagePipeline": Family(
        families.ZImage, "ZImageTransformer2DModel", "AutoencoderKL",
        {"text_encoder": "AutoModel", **ONE}, encodings.z_image_rows, 5.0,
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
    name = pipeline_of(weights, FAMILIES)
    family = FAMILIES[name]
    scale = family.guidance if guidance is None else guidance
    transformer = weights.backbone_in(getattr(diffusers, family.transformer), "transformer")
    vae = weights.network_in(getattr(diffusers, family.vae), "vae")
    encoder = PipelinePrompts(weights, name, family.parts, ("scheduler", "vae", "transformer"), family.encode)
    transformer, vae = (frozen(part, checkpointing) for part in (transformer, vae))
    made: OneTime | FluxVelocity = family.model(transformer, vae, encoder, height, width, scale)
    made.grid = grid_of(weights, made.tokens, family.mu, family.levels)
    return with_tiny_decoder(made, tiny_decoder, download)


def pipeline_of(weights: Published, known: Collection[str]) -> str:
    """The name of the pipeline's class.

    Raises:
        ValueError: if ``model_index.json`` is not there, or the class is none of ``known``.
    """
    name = weights.class_in(library("diffusers").DiffusionPipeline)
    if name not in known:
        raise ValueError(f"{weights.setting}={weights.repository}: is a {name}, must be one of {', '.join(known)}")
    return name
