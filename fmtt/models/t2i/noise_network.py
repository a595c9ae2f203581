"""U-Nets of Stable Diffusion, which predict noise, on the path of this package.

They know ``x + sigma e``. Our x_t is that, times t, with ``sigma = (1 - t) / t``. At t = 0 sigma would be infinite;
before the time of the largest sigma of training x_t counts as noise alone, times 1 - t.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor

from fmtt.flow.interpolant import expand
from fmtt.models.t2i.placement import Place
from fmtt.models.t2i.prompts import Encoder
from fmtt.models.t2i.weights import Published, library

TEXT = "encoder_hidden_states"
POOLED, SIZES = "text_embeds", "time_ids"  # what SDXL is told besides


class Split(NamedTuple):
    """``x_t = t data + (1 - t) noise`` as the network sees it, ``(B, *D)`` each.

    Attributes:
        data, noise: the two parts.
        seen: x of variance 1, as the network is given it.
        times: those of the network, ``(B,)``.
    """

    data: Tensor
    noise: Tensor
    seen: Tensor
    times: Tensor


@dataclass(frozen=True)
class NoiseNetwork:
    """A network and its times.

    Attributes:
        unet: a ``UNet2DConditionModel`` that predicts noise, frozen.
        sigmas: the noise levels at which it was trained, rising, one for each of its times.
    """

    unet: Any
    sigmas: Tensor

    def arranged(self, place: Place, device: torch.device, dtype: torch.dtype) -> Self:
        """The network put on ``device`` in ``dtype`` by ``place``, with its noise levels there."""
        return type(self)(place(self.unet, device, dtype), self.sigmas.to(device))

    def split(self, x: Tensor, t: Tensor, told: Mapping[str, Tensor]) -> Split:
        """What is data and what is noise in latents ``x (B, 4, h, w)`` at times ``t (B,)``."""
        first = 1 / (1 + self.sigmas[-1]).to(t)
        known = t.clamp_min(first)
        x = expand((1 - first) / (1 - t.clamp_max(first)), x) * x
        seen = x / expand(((1 - known) ** 2 + known**2).sqrt(), x)
        times = self.times((1 - known) / known)
        besides = {name: value for name, value in told.items() if name != TEXT}
        made = self.unet(
            seen.to(told[TEXT].dtype), times, told[TEXT], added_cond_kwargs=besides or None, return_dict=False
        )
        return Split((x - expand(1 - known, x) * made[0]) / expand(known, x), made[0], seen, times)

    def times(self, sigma: Tensor) -> Tensor:
        """The times of the network at noise levels ``sigma (B,)``, linear in log sigma between those of training."""
        levels, value = self.sigmas.log().to(sigma), sigma.log()
        above = torch.searchsorted(levels, value).clamp(1, len(levels) - 1)
        low, high = levels[above - 1], levels[above]
        return above - 1 + ((value - low) / (high - low)).clamp(0, 1)


def levels_of(schedule: Any) -> Tensor:
    """The noise levels of a scheduler of diffusers, rising."""
    kept = schedule.alphas_cumprod.double()
    return ((1 - kept) / kept).sqrt().float()


def noise_scheduler(weights: Published) -> Any:
    """The scheduler of a published network that predicts noise.

    Raises:
        ValueError: if it is not there, or the network predicts something else.
    """
    found = weights.part(library("diffusers").EulerDiscreteScheduler, "scheduler")
    if found.config.prediction_type != "epsilon":
        raise ValueError(
            f"{weights.setting}={weights.repository}: predicts {found.config.prediction_type}, must be epsilon"
        )
    return found


def with_sizes(encoder: Encoder, height: int, width: int) -> Encoder:
    """An encoder whose rows for SDXL also say the size of the picture, and that nothing was cropped."""

    def told(texts: Sequence[str]) -> Mapping[str, Tensor]:
        rows = encoder(texts)
        sizes = torch.tensor([height, width, 0, 0, height, width], dtype=torch.float32).expand(len(texts), -1)
        return {**rows, **{name.replace(POOLED, SIZES): sizes for name in rows if name.endswith(POOLED)}}

    return told
