"""What text-to-image models of the published sizes need in memory, without their weights: tensors without content.

The sizes of the networks are the defaults of their classes in diffusers. Tilting by one jump of the flow map is
estimated, with the gradient of a reward that itself needs nothing. Encoders of texts have left the memory by then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, product
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch._subclasses import FakeTensorMode

from fmtt.api import assemble
from fmtt.methods.presets import search
from fmtt.models.t2i.flux import FluxFlowMap, Told, TwoEmbeddings
from fmtt.models.t2i.flux3 import WINDOW, Flux3Klein
from fmtt.models.t2i.weights import frozen, library
from fmtt.run.memory import SAFE, Estimate, estimate, gib

GIB = 2**30
CARDS = (16, 24, 80)  # GiB
HEAD = (
    "model", "pixels", "checkpointing", "weights", "one sample", "network", "decoder",
    *(f"chunk on {card} GiB" for card in CARDS),
)  # fmt: skip
STAGES = {"down_block_types": ("DownEncoderBlock2D",) * 4, "up_block_types": ("UpDecoderBlock2D",) * 4}
SIDES = (128, 256, 512, 512)  # channels of the autoencoder of FLUX.1


class Needs(NamedTuple):
    """The needs of a model.

    Attributes:
        weights: bytes of its weights, the transformer in bfloat16.
        batch: of its batches.
    """

    weights: int
    batch: Estimate

    def chunk(self, card: float) -> int:
        """The largest batch that a card of so many bytes holds; 0 if it holds none."""
        return self.batch.fits(SAFE * card - self.weights)


def flux(pixels: int, checkpointing: bool) -> Any:
    """FLUX.1-dev with a flow map."""
    diffusers = library("diffusers")
    with default_type(torch.bfloat16):
        transformer, other = (diffusers.FluxTransformer2DModel(guidance_embeds=True) for _ in range(2))
    transformer.time_text_embed = TwoEmbeddings(transformer.time_text_embed, other.time_text_embed)
    vae = diffusers.AutoencoderKL(
        block_out_channels=SIDES, layers_per_block=2, latent_channels=16, scaling_factor=0.3611, shift_factor=0.1159,
        **STAGES,
    )  # fmt: skip
    parts = (frozen(part, checkpointing) for part in (transformer, vae))

    def told(texts: Sequence[str]) -> Told:
        return Told(torch.zeros(len(texts), 512, 4096), torch.zeros(len(texts), 768))

    return FluxFlowMap(*parts, told, pixels, pixels)


def flux3_klein(pixels: int, checkpointing: bool) -> Any:
    """FLUX.3 klein, told texts of one window."""
    diffusers = library("diffusers")
    with default_type(torch.bfloat16):
        transformer = diffusers.Flux3Transformer2DModel(flow_map=True)
    transformer, vae = (frozen(part, checkpointing) for part in (transformer, diffusers.AutoencoderKLFlux2()))
    width = transformer.config.joint_attention_dim

    def told(texts: Sequence[str]) -> list[Tensor]:
        return [torch.zeros(WINDOW, width) for _ in texts]

    return Flux3Klein(transformer, vae, told, pixels, pixels)


MODELS: dict[str, Callable[[int, bool], Any]] = {"flux": flux, "flux3_klein": flux3_klein}


@contextmanager
def default_type(dtype: torch.dtype) -> Iterator[None]:
    """New parameters have this type."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def needs_of(name: str, pixels: int, checkpointing: bool) -> Needs:
    """The needs of a model of :data:`MODELS` for square pictures; to be called where tensors have no content."""
    model = MODELS[name](pixels, checkpointing)
    run = assemble(
        model, lambda seen: seen.mean((1, 2, 3)), conditions=["text"], mode=search, groups=1, particles=2, steps=2,
        precision="bf16-true",
    )  # fmt: skip
    networks: list[nn.Module] = [model.transformer, model.latents.vae]
    weights = sum(value.nbytes for network in networks for value in chain(network.parameters(), network.buffers()))
    return Needs(weights, estimate(run, gradient=True))


def memory_rows(names: Sequence[str], sizes: Sequence[int]) -> list[list[str]]:
    """The cells of :data:`HEAD` for models and sizes of pictures, with and without checkpointing."""
    rows = []
    with FakeTensorMode():
        for name, pixels, checkpointing in product(names, sizes, (False, True)):
            needs = needs_of(name, pixels, checkpointing)
            parts = [needs.batch.batch(1), *(needs.batch.parts[part] for part in ("look-ahead", "decoder"))]
            chunks = [str(needs.chunk(card * GIB) or "none") for card in CARDS]
            rows.append([name, str(pixels), str(checkpointing).lower(), gib(needs.weights), *map(gib, parts), *chunks])
    return rows
