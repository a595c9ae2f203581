"""FLUX.1: dev with a flow-map LoRA of two times, and dev or schnell as velocities; as diffusers' ``FluxPipeline``.

Latents are those of the autoencoder, ``(16, H / 8, W / 8)``; the transformer sees cells of 2 x 2 of them as tokens.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fmtt.models.t2i.exact_times import exact_times
from fmtt.models.t2i.grids import grid_of
from fmtt.models.t2i.latents import CELL, OnLatents, Scaled
from fmtt.models.t2i.lora import load_lora, read_lora
from fmtt.models.t2i.tiny_decoders import with_tiny_decoder
from fmtt.models.t2i.two_time import Times, TwoTime
from fmtt.models.t2i.weights import Published, frozen, library


class Told(NamedTuple):
    """What the transformer is told of P texts: words ``(P, T, C)`` and whole texts ``(P, E)``."""

    words: Tensor
    pooled: Tensor


LSD = (
    "pytorch_lora_weights.safetensors by `hf download gabeguofanclub/flux-1-dev-flowmap-lsd`"
    " (licence FLUX.1 [dev] Non-Commercial, as that of the model that it changes)"
)
SECOND = "second_embedder"  # the name of the embedding of the second time, in the keys of the LoRA
UNIT = 1000  # what the embedding of times is told of a noise level of 1

Encoder = Callable[[Sequence[str]], Told]


class FluxLatents(OnLatents):
    """What all models of FLUX.1 share: latents, texts and the call of the transformer.

    Args:
        transformer: a ``FluxTransformer2DModel``, frozen.
        vae: an ``AutoencoderKL``, frozen.
        encoder: texts to what the transformer is told.
        height, width: of the pictures, in pixels; divisible by 16 for the published autoencoder.
        guidance: the scale that the transformer is told, if it takes one.

    Raises:
        ValueError: if the size does not fit the autoencoder.
    """

    def __init__(
        self,
        transformer: Any,
        vae: Any,
        encoder: Encoder,
        height: int = 1024,
        width: int = 1024,
        guidance: float = 3.5,
    ):
        self.latents = Scaled(vae)
        self.shape = self.latents.shape(height, width, CELL)
        self.transformer, self.encoder, self.guidance = transformer, encoder, guidance
        rows, columns = self.shape[1] // CELL, self.shape[2] // CELL
        self.image_ids = torch.cartesian_prod(torch.arange(1), torch.arange(rows), torch.arange(columns))

    @property
    def tokens(self) -> int:
        """Tokens of a picture."""
        return len(self.image_ids)

    def encode_prompts(self, texts: Sequence[str]) -> Mapping[str, Tensor]:
        """What the transformer is told of texts, by the names of :class:`Told`."""
        return self.encoder(texts)._asdict()

    def predict(self, x: Tensor, times: Tensor, condition: Mapping[str, Tensor]) -> Tensor:
        """The output for latents ``x (B, 16, h, w)`` at noise levels ``times``, ``(B,)``, or ``(B, 2)`` for two."""
        words = condition["words"].to(x.dtype)
        told = x.new_full((len(x),), self.guidance) if self.transformer.config.guidance_embeds else None
        tokens = F.pixel_unshuffle(x, CELL).flatten(2).transpose(1, 2)
        with exact_times(self.transformer.time_text_embed, UNIT * times):
            made = self.transformer(
                hidden_states=tokens,
                encoder_hidden_states=words,
                pooled_projections=condition["pooled"].to(x.dtype),
                timestep=times,
                guidance=told,
                img_ids=self.image_ids.to(x),
                txt_ids=x.new_zeros(words.shape[1], 3),
                return_dict=False,
            )[0]
        height, width = self.shape[1] // CELL, self.shape[2] // CELL
        return F.pixel_shuffle(made.transpose(1, 2).unflatten(2, (height, width)), CELL)


class FluxVelocity(FluxLatents):
    """FLUX.1-dev or schnell with one time: a velocity without a flow map."""

    def velocity(self, x: Tensor, t: Tensor, condition: Mapping[str, Tensor]) -> Tensor:
        return -self.predict(x, 1 - t, condition)


class TwoEmbeddings(nn.Module):
    """Two noise levels ``(B, 2)``, each embedded by its own embedding, and averaged.

    The names of its parts are those of the published LoRA. A single level ``(B,)`` is embedded as before.
    """

    def __init__(self, first: nn.Module, second: nn.Module):
        super().__init__()
        self.original_embedder = first
        self.second_embedder = second

    def forward(self, times: Tensor, *others: Any) -> Tensor:
        if times.ndim == 1:
            return self.original_embedder(times, *others)
        first, second = times.unbind(-1)
        return (self.original_embedder(first, *others) + self.second_embedder(second, *others)) / 2


class FluxFlowMap(FluxLatents, TwoTime):
    """FLUX.1-dev with the flow-map LoRA (``gabeguofanclub/flux-1-dev-flowmap-lsd``); arguments as :class:`FluxLatents`.

    The transformer must have :class:`TwoEmbeddings` in the place of its ``time_text_embed``.
    """

    times = Times()

    def network(self, x: Tensor, first: Tensor, second: Tensor, condition: Mapping[str, Tensor]) -> Tensor:
        return self.predict(x, torch.stack([first, second], dim=-1), condition)


def with_two_times(transformer: Any) -> Any:
    """The transformer with a second time, which changes nothing until weights are loaded: u(s, s) is as before."""
    embedding = transformer.time_text_embed
    transformer.time_text_embed = TwoEmbeddings(embedding, copy.deepcopy(embedding))
    return transformer


class ClipAndT5:
    """Texts to words by T5 and to whole texts by CLIP, as ``FluxPipeline.encode_prompt`` makes them.

    Args:
        clip, clip_tokenizer: a ``CLIPTextModel`` and its tokenizer.
        t5, t5_tokenizer: a ``T5EncoderModel`` and its tokenizer.
        longest: tokens of T5, to which all texts are padded: 512 for dev, 256 for schnell.
    """

    def __init__(self, clip: Any, clip_tokenizer: Any, t5: Any, t5_tokenizer: Any, longest: int = 512):
        self.clip, self.clip_tokenizer, self.t5, self.t5_tokenizer = clip, clip_tokenizer, t5, t5_tokenizer
        self.longest = longest

    @torch.no_grad()
    def __call__(self, texts: Sequence[str]) -> Told:
        def numbers(tokenizer: Any, longest: int) -> Tensor:
            padded = {"padding": "max_length", "truncation": True, "return_tensors": "pt"}
            return tokenizer(list(texts), max_length=longest, **padded).input_ids

        words = self.t5(numbers(self.t5_tokenizer, self.longest).to(self.t5.device))[0]
        limit = self.clip_tokenizer.model_max_length
        pooled = self.clip(numbers(self.clip_tokenizer, limit).to(self.clip.device)).pooler_output
        return Told(words, pooled)


@dataclass(frozen=True)
class LoadedOnce:
    """Encoders that are loaded when texts come, and leave the memory after them.

    Attributes:
        weights: where they are.
        longest: as in :class:`ClipAndT5`.
    """

    weights: Published
    longest: int

    def __call__(self, texts: Sequence[str]) -> Told:
        kinds = library("transformers")
        clip = self.weights.network_in(kinds.CLIPTextModel, "text_encoder", dtype="auto", spare=True).eval()
        t5 = self.weights.network_in(kinds.T5EncoderModel, "text_encoder_2", dtype="auto", spare=True).eval()
        tokenizers = (self.weights.part(kinds.AutoTokenizer, name) for name in ("tokenizer", "tokenizer_2"))
        clip_tokenizer, t5_tokenizer = tokenizers
        return ClipAndT5(clip, clip_tokenizer, t5, t5_tokenizer, self.longest)(texts)


def load_flux_schnell(
    repository: str = "black-forest-labs/FLUX.1-schnell",
    height: int = 1024,
    width: int = 1024,
    tiny_decoder: str | None = None,
    checkpointing: bool = False,
    download: bool = False,
) -> FluxVelocity:
    """FLUX.1-schnell from this machine; arguments as :func:`load_flux`.

    It was distilled to few steps, so its denoiser is a rough look-ahead.

    Raises:
        ValueError: if diffusers or weights are missing, or the size does not fit.
    """
    weights = Published(repository, "Apache-2.0", gated=True, download=download)
    transformer, vae = parts_of(weights, checkpointing)
    made = FluxVelocity(transformer, vae, LoadedOnce(weights, 256), height, width)
    made.grid = grid_of(weights, made.tokens)
    return with_tiny_decoder(made, tiny_decoder, download)


def load_flux(
    lora: str | None = None,
    repository: str = "black-forest-labs/FLUX.1-dev",
    height: int = 512,
    width: int = 512,
    guidance: float = 3.5,
    tiny_decoder: str | None = None,
    checkpointing: bool = False,
    download: bool = False,
) -> FluxFlowMap:
    """FLUX.1-dev with the flow-map LoRA in file ``lora``.

    Args:
        lora: the file; None is refused in one line that says where people find it.
        repository: on the hub, or a folder of the same layout.
        height, width: of the pictures, in pixels.
        guidance: the scale that the transformer is told.
        tiny_decoder: repository of :func:`fmtt.models.t2i.tiny_decoders.with_tiny_decoder`.
        checkpointing: as in :func:`fmtt.models.t2i.weights.frozen`.
        download: whether what is not on this machine is fetched.

    Raises:
        ValueError: if diffusers or weights are missing, the size does not fit, a key of the LoRA is unknown, or it has
            nothing for the second time.
    """
    weights = Published(repository, "FLUX.1 [dev] Non-Commercial", gated=True, download=download)
    tensors = read_lora(lora, LSD)
    transformer, vae = parts_of(weights, checkpointing)
    transformer = load_lora(with_two_times(transformer), tensors, str(lora))
    if not any(SECOND in key for key in tensors):
        raise ValueError(f"model.lora={lora}: has no weights for the second time ({SECOND}), so it makes no flow map")
    made = FluxFlowMap(transformer, vae, LoadedOnce(weights, 512), height, width, guidance)
    made.grid = grid_of(weights, made.tokens)
    return with_tiny_decoder(made, tiny_decoder, download)


def parts_of(weights: Published, checkpointing: bool) -> tuple[Any, Any]:
    """The frozen transformer and autoencoder."""
    diffusers = library("diffusers")
    transformer = weights.backbone_in(diffusers.FluxTransformer2DModel, "transformer")
    vae = weights.network_in(diffusers.AutoencoderKL, "vae")
    return frozen(transformer, checkpointing), frozen(vae, checkpointing)
