"""HunyuanImage-2.1-Distilled: the MeanFlow model of Tencent, as diffusers' ``HunyuanImagePipeline``.

Latents are those of the autoencoder, ``(64, H / 32, W / 32)``. The second time is averaged with the first one in the
embedding; without it the network would silently run with one time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from fmtt.models.t2i.grids import grid_of
from fmtt.models.t2i.latents import Compressed, OnLatents
from fmtt.models.t2i.prompts import Encoder, PipelinePrompts, in_type
from fmtt.models.t2i.two_time import Times, TwoTime
from fmtt.models.t2i.weights import Published, frozen, library

UNIT = 1000.0  # of times and of the guidance
TOLD = (
    "encoder_hidden_states",
    "encoder_attention_mask",
    "encoder_hidden_states_2",
    "encoder_attention_mask_2",
)  # arguments of the transformer, in the order of encode_prompt
PARTS = {
    "text_encoder": "Qwen2_5_VLForConditionalGeneration",
    "tokenizer": "AutoTokenizer",
    "text_encoder_2": "T5EncoderModel",
    "tokenizer_2": "AutoTokenizer",
}


class HunyuanImage(OnLatents, TwoTime):
    """Velocity and flow map on the latents of the autoencoder.

    Args:
        transformer: a ``HunyuanImageTransformer2DModel`` with ``use_meanflow`` and ``guidance_embeds``, frozen.
        vae: an ``AutoencoderKLHunyuanImage``, frozen.
        encoder: texts to the arguments :data:`TOLD`.
        height, width: of the pictures, in pixels; divisible by 32 for the published autoencoder.
        guidance: the scale that the transformer is told.

    Raises:
        ValueError: if the transformer is not the distilled one, or the size does not fit the autoencoder.
    """

    times = Times(unit=UNIT, diagonal=None)

    def __init__(
        self,
        transformer: Any,
        vae: Any,
        encoder: Encoder,
        height: int = 2048,
        width: int = 2048,
        guidance: float = 3.25,
    ):
        if not (transformer.config.use_meanflow and transformer.config.guidance_embeds):
            raise ValueError("model.transformer: has no second time; HunyuanImage-2.1-Distilled is needed")
        self.latents = Compressed(vae)
        self.shape = self.latents.shape(height, width, transformer.config.patch_size[0])
        self.transformer, self.encoder, self.guidance = with_exact_times(transformer), encoder, guidance

    def encode_prompts(self, texts: Sequence[str]) -> Mapping[str, Tensor]:
        """What the transformer is told of texts, by the names of :data:`TOLD`."""
        return self.encoder(texts)

    def network(self, x: Tensor, first: Tensor, second: Tensor, condition: Mapping[str, Tensor]) -> Tensor:
        return self.transformer(
            hidden_states=x,
            timestep=first,
            timestep_r=second,
            guidance=torch.full_like(first, UNIT * self.guidance),
            return_dict=False,
            **in_type(condition, x.dtype),
        )[0]


def with_exact_times(transformer: Any) -> Any:
    """The ``HunyuanImageTransformer2DModel``, which takes times and guidance in float32 whatever its own type is."""
    embed = transformer.time_guidance_embed
    for embedder in (embed.timestep_embedder, embed.timestep_embedder_r, embed.guidance_embedder):
        if embedder is not None:
            embedder.register_forward_pre_hook(in_type_of_weights)
    return transformer


def in_type_of_weights(embedder: nn.Module, given: tuple[Tensor]) -> Tensor:
    """The sines of times in the type of the layer that reads them: the times themselves stay in float32."""
    return given[0].to(next(embedder.parameters()).dtype)


def words_and_glyphs(pipeline: Any, text: str) -> Mapping[str, Tensor]:
    """What the transformer is told of one text: its words by Qwen2.5-VL, and what stands in quotes by ByT5."""
    return dict(zip(TOLD, pipeline.encode_prompt([text]), strict=True))


def load_hunyuan_image(
    repository: str = "hunyuanvideo-community/HunyuanImage-2.1-Distilled-Diffusers",
    height: int = 2048,
    width: int = 2048,
    guidance: float = 3.25,
    checkpointing: bool = False,
    download: bool = False,
) -> HunyuanImage:
    """HunyuanImage-2.1-Distilled from this machine.

    Args:
        repository: on the hub, or a folder of the same layout.
        height, width: of the pictures, in pixels; the model was trained on about 2048 x 2048.
        guidance: the scale that the transformer is told.
        checkpointing: as in :func:`fmtt.models.t2i.weights.frozen`.
        download: whether what is not on this machine is fetched.

    Raises:
        ValueError: if diffusers or weights are missing, the size does not fit, or it is not the distilled model.
    """
    diffusers = library("diffusers")
    weights = Published(repository, "Tencent Hunyuan Community", gated=False, download=download)
    transformer = weights.backbone_in(diffusers.HunyuanImageTransformer2DModel, "transformer")
    vae = weights.network_in(diffusers.AutoencoderKLHunyuanImage, "vae")
    encoder = PipelinePrompts(
        weights, "HunyuanImagePipeline", PARTS, ("scheduler", "vae", "transformer"), words_and_glyphs
    )
    transformer, vae = (frozen(part, checkpointing) for part in (transformer, vae))
    made = HunyuanImage(transformer, vae, encoder, height, width, guidance)
    made.grid = grid_of(weights, made.shape[1] * made.shape[2])
    return made
