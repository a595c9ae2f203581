"""FLUX.1-dev as velocity, which looks ahead by FLUX.1-schnell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from fmtt.flow.interpolant import expand
from fmtt.models.t2i.flux import FluxVelocity, LoadedOnce, Told, parts_of
from fmtt.models.t2i.grids import grid_of
from fmtt.models.t2i.latents import OnLatents
from fmtt.models.t2i.tiny_decoders import with_tiny_decoder
from fmtt.models.t2i.weights import Published, frozen, library

AHEAD = "ahead_"  # begins the names of what schnell is told


class FluxAhead(OnLatents):
    """FLUX.1-dev as velocity, and schnell's guess of the data as a foreign flow map.

    Schnell was distilled to reach the data in one to four steps, but not along the trajectories of dev: weights must
    allow for that. It is told its own texts, which are shorter.

    Args:
        dev: FLUX.1-dev.
        ahead: schnell, on the same latents.
    """

    data_only = True

    def __init__(self, dev: FluxVelocity, ahead: FluxVelocity):
        self.dev, self.ahead = dev, ahead
        self.latents, self.shape, self.velocity, self.grid = dev.latents, dev.shape, dev.velocity, dev.grid

    @property
    def networks(self) -> Sequence[Any]:
        return (*self.dev.networks, *self.ahead.networks)

    def encode_prompts(self, texts: Sequence[str]) -> Mapping[str, Tensor]:
        """What dev is told of texts, and what schnell is."""
        own = self.ahead.encode_prompts(texts)
        return {**self.dev.encode_prompts(texts), **{AHEAD + name: value for name, value in own.items()}}

    def flow_map(self, x: Tensor, s: Tensor, t: Tensor, condition: Mapping[str, Tensor]) -> Tensor:
        """``X_{s,1}(x)``, whatever t is."""
        told = {name: condition[AHEAD + name] for name in Told._fields}
        return x + expand(1 - s, x) * self.ahead.velocity(x, s, told)


def load_flux_ahead(
    repository: str = "black-forest-labs/FLUX.1-dev",
    ahead: str = "black-forest-labs/FLUX.1-schnell",
    height: int = 512,
    width: int = 512,
    guidance: float = 3.5,
    tiny_decoder: str | None = None,
    checkpointing: bool = False,
    download: bool = False,
) -> FluxAhead:
    """FLUX.1-dev, which looks ahead by schnell; arguments as :func:`load_flux`.

    Args:
        ahead: schnell's repository, or a folder of the same layout; of its transformer and its encoders of texts.

    Raises:
        ValueError: if diffusers or weights are missing, or the size does not fit.
    """
    weights = Published(repository, "FLUX.1 [dev] Non-Commercial", gated=True, download=download)
    others = Published(ahead, "Apache-2.0", gated=True, download=download, setting="model.ahead")
    transformer, vae = parts_of(weights, checkpointing)
    fast = frozen(others.backbone_in(library("diffusers").FluxTransformer2DModel, "transformer"), checkpointing)
    schnell = FluxVelocity(fast, vae, LoadedOnce(others, 256), height, width)
    dev = FluxVelocity(transformer, vae, LoadedOnce(weights, 512), height, width, guidance)
    dev.grid = grid_of(weights, dev.tokens)
    return with_tiny_decoder(FluxAhead(dev, schnell), tiny_decoder, download)
