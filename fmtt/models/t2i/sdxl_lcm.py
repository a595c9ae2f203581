"""SDXL with the LCM-LoRA: the base network is the velocity, the network with the LoRA the look-ahead.

The path of SDXL keeps the variance; it is converted to the linear one (:mod:`fmtt.models.t2i.noise_network`). The
consistency function is that of ``LCMScheduler`` (arXiv 2310.04378): ``X_{t,1} = c_skip(tau) x + c_out(tau) data``.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, Self

import torch
from torch import Tensor

from fmtt.flow.interpolant import expand
from fmtt.models.t2i.generator import TWO
from fmtt.models.t2i.latents import Scaled
from fmtt.models.t2i.lora import read_lora
from fmtt.models.t2i.noise_network import POOLED, TEXT, NoiseNetwork, levels_of, with_sizes
from fmtt.models.t2i.one_time import OneTime, of_both, of_text
from fmtt.models.t2i.prompts import Encoder, PipelinePrompts
from fmtt.models.t2i.weights import Published, frozen, library

SIGMA_DATA, TIME_SCALE = 0.5, 10.0  # of LCMScheduler


class SdxlLcm(OneTime):
    """Velocity of SDXL, and the flow map to the data alone; arguments as :class:`OneTime`.

    Args:
        base: the network of SDXL.
        student: the same with the LoRA. It is a network of its own: a switch would be wrong for layers that compute
            again for the gradient.
    """

    latents_of = Scaled
    patch = 1

    def __init__(
        self,
        base: NoiseNetwork,
        student: NoiseNetwork,
        vae: Any,
        encoder: Encoder,
        height: int,
        width: int,
        guidance: float = 5.0,
    ):
        super().__init__(base.unet, vae, encoder, height, width, guidance)
        self.base, self.student = base, student

    def to(self, device: torch.device, dtype: torch.dtype) -> Self:
        self.base, self.student = (network.to(device, dtype) for network in (self.base, self.student))
        return super().to(device, dtype)

    def predict(self, x: Tensor, t: Tensor, told: Mapping[str, Tensor]) -> Tensor:
        found = self.base.split(x, t, told)
        return found.data - found.noise

    def flow_map(self, x: Tensor, s: Tensor, t: Tensor, condition: Mapping[str, Tensor]) -> Tensor:
        """``X_{s,1}(x)``.

        Raises:
            ValueError: if a time t is not 1.
        """
        if (t != 1).any():
            raise ValueError("model=sdxl_lcm: knows the flow map to t = 1 only; use lookahead=flowmap1")
        found = self.student.split(x, s, of_text(condition, x.dtype))
        tau = TIME_SCALE * found.times
        variance = tau**2 + SIGMA_DATA**2
        skip, out = SIGMA_DATA**2 / variance, tau / variance.sqrt()
        return expand(skip, x) * found.seen + expand(out, x) * found.data


def both_texts(pipeline: Any, text: str) -> Mapping[str, Tensor]:
    """What the network is told of a text and of the negative prompt, which is all zeros."""
    words, no_words, pooled, no_pooled = pipeline.encode_prompt([text])
    return of_both({TEXT: words, POOLED: pooled}, {TEXT: no_words, POOLED: no_pooled})


def load_sdxl_lcm(
    lora: str,
    repository: str = "stabilityai/stable-diffusion-xl-base-1.0",
    height: int = 1024,
    width: int = 1024,
    guidance: float = 5.0,
    checkpointing: bool = False,
    download: bool = False,
) -> SdxlLcm:
    """SDXL and the same network with the LCM-LoRA.

    Args:
        lora: its file, such as that of ``latent-consistency/lcm-lora-sdxl``.
        repository: on the hub, or a folder of the same layout.
        height, width: of the pictures, in pixels.
        guidance: the scale of the classifier-free guidance of the velocity; the student is told none.
        checkpointing: as in :func:`fmtt.models.t2i.weights.frozen`.
        download: whether what is not on this machine is fetched.

    Raises:
        ValueError: if diffusers or weights are missing, the size does not fit, or the LoRA does not belong to SDXL.
    """
    diffusers = library("diffusers")
    weights = Published(repository, "CreativeML Open RAIL++-M", gated=False, download=download)
    tensors = read_lora(lora)
    unet = weights.part(diffusers.UNet2DConditionModel, "unet")
    vae = frozen(weights.part(diffusers.AutoencoderKL, "vae"), checkpointing)
    sigmas = levels_of(weights.part(diffusers.EulerDiscreteScheduler, "scheduler"))
    student = with_lora(copy.deepcopy(unet), tensors, lora)
    base, tuned = (NoiseNetwork(frozen(part, checkpointing), sigmas) for part in (unet, student))
    encoder = PipelinePrompts(weights, "StableDiffusionXLPipeline", TWO, ("vae", "unet", "scheduler"), both_texts)
    return SdxlLcm(base, tuned, vae, with_sizes(encoder, height, width), height, width, guidance)


def with_lora(unet: Any, tensors: Mapping[str, Tensor], path: str) -> Any:
    """The U-Net with a LoRA, in the names of diffusers or of kohya, merged into its weights.

    Raises:
        ValueError: if a key belongs to no part of the U-Net, or the LoRA changes nothing.
    """
    pipeline, modules = library("diffusers").StableDiffusionXLPipeline, dict(unet.named_modules())
    before = {name: value.clone() for name, value in unet.named_parameters()}
    found, alphas = pipeline.lora_state_dict(dict(tensors), unet_config=unet.config)[:2]
    for key in found:
        if key.removeprefix("unet.").partition(".lora")[0] not in modules:
            raise ValueError(f"model.lora={path}: the key {key} belongs to no part of {type(unet).__name__}")
    pipeline.load_lora_into_unet(found, alphas, unet)
    unet.fuse_lora()
    unet.unload_lora()
    if all(torch.equal(value, before[name]) for name, value in unet.named_parameters()):
        raise ValueError(f"model.lora={path}: changes nothing")
    return unet
