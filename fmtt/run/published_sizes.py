"""Text-to-image models of the published sizes, for tensors without content.

The sizes of transformers are the defaults of their classes in diffusers. Those of SDXL, Stable Diffusion 2.1 and of
autoencoders are written here as their files have them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from fmtt.models.t2i.encodings import MASKED
from fmtt.models.t2i.flux import FluxFlowMap, FluxVelocity, Told, TwoEmbeddings
from fmtt.models.t2i.flux3 import WINDOW, Flux3Klein, Flux3KleinOnBase
from fmtt.models.t2i.flux_ahead import FluxAhead
from fmtt.models.t2i.generator import Generator
from fmtt.models.t2i.noise_network import POOLED, TEXT, NoiseNetwork, with_sizes
from fmtt.models.t2i.one_time import of_both
from fmtt.models.t2i.prompts import Encoder
from fmtt.models.t2i.sana_sprint import SanaSprint
from fmtt.models.t2i.sdxl_lcm import SdxlLcm
from fmtt.models.t2i.weights import frozen, library

STAGES = {"down_block_types": ("DownEncoderBlock2D",) * 4, "up_block_types": ("UpDecoderBlock2D",) * 4}
SIDES = (128, 256, 512, 512)  # channels of the autoencoder of FLUX.1
DEEP = {  # the autoencoder of SANA, whose decoder has attention in its last stages; others are defaults
    f"{side}coder_{name}": value
    for side in ("en", "de")
    for name, value in {
        "block_types": ("ResBlock",) * 3 + ("EfficientViTBlock",) * 3,
        "qkv_multiscales": ((),) * 3 + ((5,),) * 3,
    }.items()
} | {"upsample_block_type": "interpolate", "downsample_block_type": "Conv"}
BLOCKS = ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnUpBlock2D", "UpBlock2D")
SDXL = {
    "block_out_channels": (320, 640, 1280), "attention_head_dim": (5, 10, 20), "cross_attention_dim": 2048,
    "transformer_layers_per_block": (1, 2, 10), "addition_embed_type": "text_time", "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816, "use_linear_projection": True,
    "down_block_types": (BLOCKS[0], BLOCKS[1], BLOCKS[1]), "up_block_types": (BLOCKS[2], BLOCKS[2], BLOCKS[3]),
}  # fmt: skip
STABLE_DIFFUSION = {"attention_head_dim": (5, 10, 20, 20), "cross_attention_dim": 1024, "use_linear_projection": True}
WORDS, POOL = 77, 1280  # of the texts of Stable Diffusion


@contextmanager
def default_type(dtype: torch.dtype) -> Iterator[None]:
    """New parameters have this type."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


class Published(NamedTuple):
    """A model of a published size, and the networks whose weights it holds."""

    model: Any
    networks: Sequence[nn.Module]


def flux_network(guided: bool = True) -> Any:
    """The transformer of FLUX.1, in bfloat16."""
    with default_type(torch.bfloat16):
        return library("diffusers").FluxTransformer2DModel(guidance_embeds=guided)


def flux_decoder() -> Any:
    """The autoencoder of FLUX.1."""
    return library("diffusers").AutoencoderKL(
        block_out_channels=SIDES, layers_per_block=2, latent_channels=16, scaling_factor=0.3611, shift_factor=0.1159,
        **STAGES,
    )  # fmt: skip


def flux_texts(tokens: int) -> Callable[[Sequence[str]], Told]:
    """The texts of FLUX.1, of so many tokens."""
    return lambda texts: Told(torch.zeros(len(texts), tokens, 4096), torch.zeros(len(texts), 768))


def flux(pixels: int, checkpointing: bool) -> Published:
    """FLUX.1-dev with a flow map."""
    transformer, other = flux_network(), flux_network()
    transformer.time_text_embed = TwoEmbeddings(transformer.time_text_embed, other.time_text_embed)
    parts = [frozen(part, checkpointing) for part in (transformer, flux_decoder())]
    return Published(FluxFlowMap(*parts, flux_texts(512), pixels, pixels), parts)


def flux_schnell(pixels: int, checkpointing: bool) -> Published:
    """FLUX.1-schnell."""
    parts = [frozen(part, checkpointing) for part in (flux_network(guided=False), flux_decoder())]
    return Published(FluxVelocity(*parts, flux_texts(256), pixels, pixels), parts)


def flux_ahead(pixels: int, checkpointing: bool) -> Published:
    """FLUX.1-dev, which looks ahead by schnell."""
    dev, vae, fast = (
        frozen(part, checkpointing) for part in (flux_network(), flux_decoder(), flux_network(guided=False))
    )
    models = (FluxVelocity(net, vae, flux_texts(tokens), pixels, pixels) for net, tokens in ((dev, 512), (fast, 256)))
    return Published(FluxAhead(*models), [dev, vae, fast])


def klein_network(flow_map: bool) -> Any:
    """The transformer of FLUX.3 klein or klein-base, in bfloat16."""
    with default_type(torch.bfloat16):
        return library("diffusers").Flux3Transformer2DModel(flow_map=flow_map)


def klein_texts(width: int) -> Callable[[Sequence[str]], list[Tensor]]:
    """Texts of one window."""
    return lambda texts: [torch.zeros(WINDOW, width) for _ in texts]


def flux3_klein(pixels: int, checkpointing: bool) -> Published:
    """FLUX.3 klein, told texts of one window."""
    parts = [frozen(part, checkpointing) for part in (klein_network(True), library("diffusers").AutoencoderKLFlux2())]
    texts = klein_texts(parts[0].config.joint_attention_dim)
    return Published(Flux3Klein(*parts, texts, pixels, pixels), parts)


def flux3_klein_on_base(pixels: int, checkpointing: bool) -> Published:
    """FLUX.3 klein with klein-base as velocity."""
    fast, vae, slow = (
        frozen(part, checkpointing)
        for part in (klein_network(True), library("diffusers").AutoencoderKLFlux2(), klein_network(False))
    )
    texts = klein_texts(fast.config.joint_attention_dim)
    return Published(Flux3KleinOnBase(fast, vae, texts, pixels, pixels, slow), [fast, vae, slow])


def sana_sprint(pixels: int, checkpointing: bool) -> Published:
    """SANA-Sprint of 1.6 billion parameters, and its teacher."""
    diffusers, norm = library("diffusers"), "rms_norm_across_heads"
    with default_type(torch.bfloat16):
        student, teacher = (
            diffusers.SanaTransformer2DModel(guidance_embeds=fast, qk_norm=norm) for fast in (True, False)
        )
    parts = [frozen(part, checkpointing) for part in (student, teacher, diffusers.AutoencoderDC(**DEEP))]
    width = student.config.caption_channels

    def told(texts: Sequence[str]) -> Mapping[str, Tensor]:
        rows = dict(zip(MASKED, (torch.zeros(len(texts), 300, width), torch.ones(len(texts), 300)), strict=True))
        return of_both(rows, rows)

    return Published(SanaSprint(*parts, told, pixels, pixels), parts)


def diffusion_decoder(scale: float) -> Any:
    """The autoencoder of Stable Diffusion, whose latents are multiplied by ``scale``."""
    return library("diffusers").AutoencoderKL(
        block_out_channels=SIDES, layers_per_block=2, latent_channels=4, scaling_factor=scale, **STAGES
    )


def diffusion_network(settings: Mapping[str, Any], checkpointing: bool) -> NoiseNetwork:
    """A U-Net of Stable Diffusion in bfloat16, with noise levels that matter to no memory."""
    with default_type(torch.bfloat16):
        unet = library("diffusers").UNet2DConditionModel(**settings)
    return NoiseNetwork(frozen(unet, checkpointing), torch.linspace(0.03, 14.6, 1000))


def sdxl_texts(pixels: int) -> Encoder:
    def told(texts: Sequence[str]) -> Mapping[str, Tensor]:
        return {TEXT: torch.zeros(len(texts), WORDS, 2048), POOLED: torch.zeros(len(texts), POOL)}

    return with_sizes(told, pixels, pixels)


def both(encoder: Encoder) -> Encoder:
    """The same texts, and as many negative prompts."""
    return lambda texts: of_both(encoder(texts), encoder(texts))


def sdxl_lcm(pixels: int, checkpointing: bool) -> Published:
    """SDXL, and the same network with the LCM-LoRA."""
    base, student = (diffusion_network(SDXL, checkpointing) for _ in range(2))
    vae = frozen(diffusion_decoder(0.13025), checkpointing)
    model = SdxlLcm(base, student, vae, both(sdxl_texts(pixels)), pixels, pixels)
    return Published(model, [base.unet, student.unet, vae])


def sdxl_turbo(pixels: int, checkpointing: bool) -> Published:
    """SDXL-Turbo, a generator."""
    network, vae = diffusion_network(SDXL, checkpointing), frozen(diffusion_decoder(0.13025), checkpointing)
    return Published(Generator(network, vae, sdxl_texts(pixels), pixels, pixels), [network.unet, vae])


def sd_turbo(pixels: int, checkpointing: bool) -> Published:
    """SD-Turbo, a generator with the networks of Stable Diffusion 2.1."""
    network = diffusion_network(STABLE_DIFFUSION, checkpointing)
    vae = frozen(diffusion_decoder(0.18215), checkpointing)

    def told(texts: Sequence[str]) -> Mapping[str, Tensor]:
        return {TEXT: torch.zeros(len(texts), WORDS, 1024)}

    return Published(Generator(network, vae, told, pixels, pixels), [network.unet, vae])


MODELS: dict[str, Callable[[int, bool], Published]] = {
    "flux": flux, "flux_schnell": flux_schnell, "flux_ahead": flux_ahead, "flux3_klein": flux3_klein,
    "flux3_klein_on_base": flux3_klein_on_base, "sana_sprint": sana_sprint, "sdxl_lcm": sdxl_lcm,
    "sd_turbo": sd_turbo, "sdxl_turbo": sdxl_turbo,
}  # fmt: skip
