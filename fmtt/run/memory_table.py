"""What text-to-image models of the published sizes need in memory and work, without their weights.

Tensors have no content. Tilting by one jump of the flow map is estimated, or by the denoiser where there is none, with
the gradient of a reward that itself needs nothing. Encoders of texts have left the memory by then.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import chain, product
from typing import NamedTuple

import torch
from torch._subclasses import FakeTensorMode
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from fmtt.api import Run, assemble
from fmtt.flow.protocols import as_flow
from fmtt.methods.noise_opt import noise_opt
from fmtt.methods.presets import search
from fmtt.run.memory import SAFE, Estimate, estimate, gib
from fmtt.run.published_sizes import MODELS
from fmtt.tilt.look_ahead import Denoiser, FlowMapJumps

GIB = 2**30
TERA = 1e12
CARDS = (16, 24, 80)  # GiB
HEAD = (
    "model", "pixels", "checkpointing", "weights", "one sample", "network", "decoder",
    *(f"chunk on {card} GiB" for card in CARDS), "jump, TFLOP", "with gradient, TFLOP",
)  # fmt: skip


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


def needs_of(name: str, pixels: int, checkpointing: bool) -> Needs:
    """The needs of a model of :data:`MODELS` for square pictures; to be called where tensors have no content."""
    made = MODELS[name](pixels, checkpointing)
    flow = as_flow(made.model)
    run = assemble(
        made.model, lambda seen: seen.mean((1, 2, 3)), conditions=["text"], groups=1, particles=2, steps=2,
        mode=noise_opt if flow.velocity is None else search, precision="bf16-true",
        look_ahead=Denoiser if flow.flow_map is None else partial(FlowMapJumps, steps=1),
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
            needed = [gib(needs.weights), *map(gib, parts)]
            rows.append([name, str(pixels), str(checkpointing).lower(), *needed, *chunks, *operations])
    return rows
