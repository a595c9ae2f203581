"""Autoencoders of diffusers: latents as transformers want them to pictures ``(B, 3, H, W)`` in [-1, 1], and back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
import torch.nn.functional as F
from torch import Tensor

from fmtt.flow.schedules import Grid
from fmtt.models.t2i.placement import Place, placed, waiting

CELL = 2  # latent pixels along each side of a packed one


@dataclass(frozen=True)
class Latents(ABC):
    """An autoencoder and the scale of its latents, ``(B, channels, H / down, W / down)``."""

    vae: Any
    tiny: ClassVar[str | None] = None  # the class in diffusers of small autoencoders with the same latents

    @property
    @abstractmethod
    def channels(self) -> int: ...

    @property
    @abstractmethod
    def down(self) -> int: ...

    def shape(self, height: int, width: int, patch: int = 1) -> tuple[int, int, int]:
        """The shape of the latents of pictures of ``height`` x ``width`` pixels, in cells of ``patch`` x ``patch``.

        Raises:
            ValueError: if the size does not fit.
        """
        cell = patch * self.down
        if height % cell or width % cell:
            raise ValueError(f"model.height={height}, model.width={width}: must be multiples of {cell}")
        return self.channels, height // self.down, width // self.down

    @abstractmethod
    def decode(self, latents: Tensor) -> Tensor:
        """Pictures ``(B, 3, H, W)`` in [-1, 1], up to the decoder's overshoot."""

    @abstractmethod
    def encode(self, pictures: Tensor) -> Tensor:
        """The latents of pictures, the mode of the autoencoder."""


class OnLatents:
    """What all models on ``latents`` of an autoencoder share.

    Attributes:
        latents: the autoencoder by which people see pictures.
        seen: a small one by which rewards see them; None: the same.
        grid: the time grid of the pipeline; None: uniform.
        first_time, unfit_precisions: as :class:`fmtt.flow.protocols.Flow` has them.
        transformer: the network.
    """

    latents: Latents
    seen: Latents | None = None
    grid: Grid | None = None
    first_time: float = 0.0
    unfit_precisions: frozenset[str] = frozenset()
    transformer: Any

    @property
    def networks(self) -> Sequence[Any]:
        """All networks but the autoencoders."""
        return (self.transformer,)

    @property
    def autoencoders(self) -> Sequence[Any]:
        return tuple(one.vae for one in (self.latents, self.seen) if one is not None)

    def to(self, device: torch.device, dtype: torch.dtype) -> Self:
        """Moves the model to ``device``, its networks in ``dtype``; autoencoders keep their own type."""
        return self.arranged(placed, device, dtype)

    def offloaded(self, device: torch.device, dtype: torch.dtype) -> Self:
        """The same, but the weights of its networks wait on the CPU and come to ``device`` block by block."""
        return self.arranged(waiting, device, dtype)

    def arranged(self, place: Place, device: torch.device, dtype: torch.dtype) -> Self:
        for network in self.networks:
            place(network, device, dtype)
        for autoencoder in self.autoencoders:
            autoencoder.to(device)
        return self

    def decode(self, latents: Tensor) -> Tensor:
        """Latents to the pictures ``(B, 3, H, W)`` that rewards see, in [-1, 1], up to the decoder's overshoot."""
        return (self.seen or self.latents).decode(latents)

    def render(self, latents: Tensor) -> Tensor:
        """Latents to the pictures that people see."""
        return self.latents.decode(latents)

    def encode(self, pictures: Tensor) -> Tensor:
        """Pictures ``(B, 3, H, W)`` in [-1, 1] to latents."""
        return self.latents.encode(pictures)


class Scaled(Latents):
    """An ``AutoencoderKL``, whose latents are shifted and multiplied by a number."""

    tiny: ClassVar[str | None] = "AutoencoderTiny"

    @property
    def channels(self) -> int:
        return self.vae.config.latent_channels

    @property
    def down(self) -> int:
        return 2 ** (len(self.vae.config.block_out_channels) - 1)

    @property
    def shift(self) -> float:
        """0 for the autoencoders of Stable Diffusion, which have none."""
        return self.vae.config.shift_factor or 0.0

    def decode(self, latents: Tensor) -> Tensor:
        plain = latents / self.vae.config.scaling_factor + self.shift
        return self.vae.decode(plain.to(self.vae.dtype), return_dict=False)[0]

    def encode(self, pictures: Tensor) -> Tensor:
        plain = self.vae.encode(pictures.to(self.vae.dtype)).latent_dist.mode()
        return (plain - self.shift) * self.vae.config.scaling_factor


class Compressed(Scaled):
    """An ``AutoencoderKLHunyuanImage``, which says itself how much smaller latents are, and shifts nothing."""

    tiny = None
    shift = 0.0

    @property
    def down(self) -> int:
        return self.vae.config.spatial_compression_ratio


class Whitened(Latents):
    """An ``AutoencoderKLFlux2``: cells of 2 x 2 latents, whitened by the statistics of its batch norm."""

    @property
    def channels(self) -> int:
        return CELL**2 * self.vae.config.latent_channels

    @property
    def down(self) -> int:
        return CELL * 2 ** (len(self.vae.config.block_out_channels) - 1)

    @property
    def mean(self) -> Tensor:
        return self.vae.bn.running_mean[:, None, None]

    @property
    def std(self) -> Tensor:
        return (self.vae.bn.running_var + self.vae.config.batch_norm_eps).sqrt()[:, None, None]

    def decode(self, latents: Tensor) -> Tensor:
        plain = F.pixel_shuffle(latents * self.std + self.mean, CELL)
        return self.vae.decode(plain.to(self.vae.dtype), return_dict=False)[0]

    def encode(self, pictures: Tensor) -> Tensor:
        plain = self.vae.encode(pictures.to(self.vae.dtype)).latent_dist.mode()
        return (F.pixel_unshuffle(plain, CELL) - self.mean) / self.std


class Frames(Latents):
    """An ``AutoencoderKLQwenImage``: that of a video with one frame, with a mean and a scale for each channel."""

    @property
    def channels(self) -> int:
        return self.vae.config.z_dim

    @property
    def down(self) -> int:
        return 2 ** len(self.vae.config.temperal_downsample)

    def decode(self, latents: Tensor) -> Tensor:
        mean, std = self._statistics(latents)
        plain = (latents * std + mean)[:, :, None]
        return self.vae.decode(plain.to(self.vae.dtype), return_dict=False)[0][:, :, 0]

    def encode(self, pictures: Tensor) -> Tensor:
        plain = self.vae.encode(pictures.to(self.vae.dtype)[:, :, None]).latent_dist.mode()[:, :, 0]
        mean, std = self._statistics(plain)
        return (plain - mean) / std

    def _statistics(self, like: Tensor) -> tuple[Tensor, Tensor]:
        config = self.vae.config
        mean, std = (torch.tensor(numbers).to(like) for numbers in (config.latents_mean, config.latents_std))
        return mean[:, None, None], std[:, None, None]


class Deep(Latents):
    """An ``AutoencoderDC``, which has no noise: its latents are multiplied by a number."""

    tiny = "AutoencoderDC"

    @property
    def channels(self) -> int:
        return self.vae.config.latent_channels

    @property
    def down(self) -> int:
        return self.vae.spatial_compression_ratio

    def decode(self, latents: Tensor) -> Tensor:
        return self.vae.decode((latents / self.vae.config.scaling_factor).to(self.vae.dtype), return_dict=False)[0]

    def encode(self, pictures: Tensor) -> Tensor:
        return self.vae.encode(pictures.to(self.vae.dtype)).latent * self.vae.config.scaling_factor
