"""What text-to-image models of the published sizes need in memory and work, without their weights.

Tensors have no content.

The sizes of the networks are the defaults of their classes in diffusers. Tilting by one jump of the flow map is
estimated, with the gradient of a reward that itself needs nothing. Encoders of texts have left the memory by then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain, product
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch._subclasses import FakeTensorMode
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from fmtt.api import Run, assemble
from fmtt.methods.presets import search
from fmtt.models.t2i.flux import FluxFlowMap, Told, TwoEmbeddings
from fmtt.models.t2i.flux3 import WINDOW, Flux3Klein
from fmtt.models.t2i.one_time import of_both
from fmtt.models.t2i.sana_sprint import TOLD, SanaSprint
from fmtt.models.t2i.weights import frozen, library
from fmtt.run.memory import SAFE, Estimate, estimate, gib

GIB = 2**30
TERA = 1e12
CARDS = (16, 24, 80)  # GiB
HEAD = (
    "model", "pixels", "checkpointing", "weights", "one sample", "network", "decoder",
    *(f"chunk on {card} GiB" for card in CARDS), "jump, TFLOP", "with gradient, TFLOP",
)  # fmt: skip
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


class Needs(NamedTuple):
    """The needs of a model.

    Attributes:
        weights: bytes of its weights, the transformer in bfloat16.
        batch: of its batches.
        jump: floating-point operations of one jump to the data.
        gradient: those of a jump, the decoder and the gradient back through both.
    """

    weights: int
    batch: Estimate
    jump: int
    gradient: int

    def chunk(self, card: float) -> int:
        """The largest batch that a card of so many bytes holds; 0 if it holds none."""
        return self.batch.fits(SAFE * card - self.weights)


class Published(NamedTuple):
    """A model of a published size, and the networks whose weights it holds."""

    model: Any
    networks: Sequence[nn.Module]


def flux(pixels: int, checkpointing: bool) -> Published:
    """FLUX.1-dev with a flow map."""
    diffusers = library("diffusers")
    with default_type(torch.bfloat16):
        transformer, other = (diffusers.FluxTransformer2DModel(guidance_embeds=True) for _ in range(2))
    transformer.time_text_embed = TwoEmbeddings(transformer.time_text_embed, other.time_text_embed)
    vae = diffusers.AutoencoderKL(
        block_out_channels=SIDES, layers_per_block=2, latent_channels=16, scaling_factor=0.3611, shift_factor=0.1159,
        **STAGES,
    )  # fmt: skip
    parts = [frozen(part, checkpointing) for part in (transformer, vae)]

    def told(texts: Sequence[str]) -> Told:
        return Told(torch.zeros(len(texts), 512, 4096), torch.zeros(len(texts), 768))

    return Published(FluxFlowMap(*parts, told, pixels, pixels), parts)


def flux3_klein(pixels: int, checkpointing: bool) -> Published:
    """FLUX.3 klein, told texts of one window."""
    diffusers = library("diffusers")
    with default_type(torch.bfloat16):
        transformer = diffusers.Flux3Transformer2DModel(flow_map=True)
    transformer, vae = (frozen(part, checkpointing) for part in (transformer, diffusers.AutoencoderKLFlux2()))
    width = transformer.config.joint_attention_dim

    def told(texts: Sequence[str]) -> list[Tensor]:
        return [torch.zeros(WINDOW, width) for _ in texts]

    return Published(Flux3Klein(transformer, vae, told, pixels, pixels), [transformer, vae])


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
        rows = {TOLD[0]: torch.zeros(len(texts), 300, width), TOLD[1]: torch.ones(len(texts), 300)}
        return of_both(rows, rows)

    return Published(SanaSprint(*parts, told, pixels, pixels), parts)


MODELS: dict[str, Callable[[int, bool], Published]] = {
    "flux": flux, "flux3_klein": flux3_klein, "sana_sprint": sana_sprint,
}  # fmt: skip


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
    made = MODELS[name](pixels, checkpointing)
    run = assemble(
        made.model, lambda seen: seen.mean((1, 2, 3)), conditions=["text"], mode=search, groups=1, particles=2, steps=2,
        precision="bf16-true",
    )  # fmt: skip
    weights = sum(value.nbytes for network in made.networks for value in chain(network.parameters(), network.buffers()))
    return Needs(weights, estimate(run, gradient=True), *work(run))


def work(run: Run) -> tuple[int, int]:
    """Floating-point operations of a jump of one sample, and of the gradient of a reward with it."""
    tilt, model = run.problem.tilt, run.problem.model
    x = torch.zeros(1, *model.shape, requires_grad=True)
    with (
        sdpa_kernel(SDPBackend.MATH),
        FlopCounterMode(display=False) as counter,
    ):
        landed = tilt.look_ahead_for(run.prompt[:1])(x, x.new_zeros(1)).sample
        jump = counter.get_total_flops()
        torch.autograd.grad(model.flow.decode(landed).sum(), x)  # type: ignore[misc]
    return jump, counter.get_total_flops()


def memory_rows(names: Sequence[str], sizes: Sequence[int]) -> list[list[str]]:
    """The cells of :data:`HEAD` for models and sizes of pictures, with and without checkpointing."""
    rows = []
    with FakeTensorMode():
        for name, pixels, checkpointing in product(names, sizes, (False, True)):
            needs = needs_of(name, pixels, checkpointing)
            parts = [needs.batch.batch(1), *(needs.batch.parts[part] for part in ("look-ahead", "decoder"))]
            chunks = [str(needs.chunk(card * GIB) or "none") for card in CARDS]
            operations = [f"{count / TERA:.3g}" for count in (needs.jump, needs.gradient)]
            sizes = [gib(needs.weights), *map(gib, parts)]
            rows.append([name, str(pixels), str(checkpointing).lower(), *sizes, *chunks, *operations])
    return rows
