"""SDXL with the LCM-LoRA: the base network is the velocity, the network with the LoRA the look-ahead.

The path of SDXL keeps the variance; it is converted to the linear one (:mod:`fmtt.models.t2i.noise_network`). The
consistency function is that of ``LCMScheduler`` (arXiv 2310.04378): ``X_{t,1} = c_skip(tau) x + c_out(tau) data``.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, Self

import torch
from torch import Tensor

from fmtt.flow.interpolant import expand
from fmtt.models.t2i.generator import TWO
from fmtt.models.t2i.grids import NoiseLevelGrid
from fmtt.models.t2i.latents import Scaled
from fmtt.models.t2i.lora import ALPHA, DOWN, UP, merged, read_lora
from fmtt.models.t2i.noise_network import POOLED, TEXT, NoiseNetwork, levels_of, noise_scheduler, with_sizes
from fmtt.models.t2i.one_time import OneTime, of_both, of_text
from fmtt.models.t2i.placement import Place
from fmtt.models.t2i.prompts import Encoder, PipelinePrompts
from fmtt.models.t2i.tiny_decoders import with_tiny_decoder
from fmtt.models.t2i.weights import Published, frozen, library

SIGMA_DATA, TIME_SCALE = 0.5, 10.0  # of LCMScheduler
LCM = "the .safetensors of `hf download latent-consistency/lcm-lora-sdxl` (licence CreativeML Open RAIL++-M)"
UNET, KOHYA = "unet", "lora_unet_"  # how keys of LoRA files begin
KOHYA_ENDS = {"lora_down.weight": DOWN, "lora_up.weight": UP, "alpha": ALPHA}


class SdxlLcm(OneTime):
    """Velocity of SDXL, and the flow map to the data alone; arguments as :class:`OneTime`.

    Args:
        base: the network of SDXL.
        student: the same with the LoRA. It is a network of its own: a switch would be wrong for layers that compute
            again for the gradient.
    """

    latents_of = Scaled
    patch = 1
    data_only = True

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

    def arranged(self, place: Place, device: torch.device, dtype: torch.dtype) -> Self:
        self.base, self.student = (network.arranged(place, device, dtype) for network in (self.base, self.student))
        return super().arranged(place, device, dtype)

    @property
    def networks(self) -> Sequence[Any]:
        return ()  # they have their times with them

    def predict(self, x: Tensor, t: Tensor, told: Mapping[str, Tensor]) -> Tensor:
        found = self.base.split(x, t, told)
        return found.data - found.noise

    def flow_map(self, x: Tensor, s: Tensor, t: Tensor, condition: Mapping[str, Tensor]) -> Tensor:
        """``X_{s,1}(x)``, whatever t is."""
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
    lora: str | None = None,
    repository: str = "stabilityai/stable-diffusion-xl-base-1.0",
    height: int = 1024,
    width: int = 1024,
    guidance: float = 5.0,
    tiny_decoder: str | None = None,
    checkpointing: bool = False,
    download: bool = False,
) -> SdxlLcm:
    """SDXL and the same network with the LCM-LoRA.

    Args:
        lora: its file; None is refused in one line that says where people find it.
        repository: on the hub, or a folder of the same layout.
        height, width: of the pictures, in pixels.
        guidance: the scale of the classifier-free guidance of the velocity; the student is told none.
        tiny_decoder: repository of :func:`fmtt.models.t2i.tiny_decoders.with_tiny_decoder`.
        checkpointing: as in :func:`fmtt.models.t2i.weights.frozen`.
        download: whether what is not on this machine is fetched.

    Raises:
        ValueError: if diffusers or weights are missing, the size does not fit, or the LoRA does not belong to SDXL.
    """
    diffusers = library("diffusers")
    weights = Published(repository, "CreativeML Open RAIL++-M", gated=False, download=download)
    tensors = read_lora(lora, LCM)
    unet = weights.backbone_in(diffusers.UNet2DConditionModel, "unet")
    vae = frozen(weights.network_in(diffusers.AutoencoderKL, "vae"), checkpointing)
    schedule = noise_scheduler(weights)
    student = with_lora(copy.deepcopy(unet), tensors, str(lora))
    base, tuned = (NoiseNetwork(frozen(part, checkpointing), levels_of(schedule)) for part in (unet, student))
    encoder = PipelinePrompts(weights, "StableDiffusionXLPipeline", TWO, ("vae", "unet", "scheduler"), both_texts)
    made = SdxlLcm(base, tuned, vae, with_sizes(encoder, height, width), height, width, guidance)
    made.grid = NoiseLevelGrid.of(schedule)
    made.first_time = made.grid.first_time
    return with_tiny_decoder(made, tiny_decoder, download)


def with_lora(unet: Any, tensors: Mapping[str, Tensor], path: str) -> Any:
    """The U-Net with a LoRA, in the names of diffusers or of kohya, merged into its weights.

    Raises:
        ValueError: as :func:`fmtt.models.t2i.lora.merged`.
    """
    layers = {name.replace(".", "_"): name for name, _ in unet.named_modules()}
    return merged(unet, tensors, {key: place_of(key, layers, unet.config) for key in tensors}, path)


def place_of(key: str, layers: Mapping[str, str], config: Any) -> str:
    """What a key of a LoRA is for, as :func:`fmtt.models.t2i.lora.merged` reads it; empty for keys of another form.

    Args:
        key: of the file.
        layers: those of the U-Net by their names with ``_`` for each dot, which are those of kohya.
        config: of the U-Net.
    """
    name, _, end = key.partition(".")
    if name == UNET:
        return key_of_peft(key)
    if not name.startswith(KOHYA) or end not in KOHYA_ENDS:
        return ""
    known = layers.get(name.removeprefix(KOHYA))
    return (known or layer_of_stability(name, config)) + KOHYA_ENDS[end]


def layer_of_stability(name: str, config: Any) -> str:
    """The layer that kohya names as the code of Stability AI does, ``input_blocks_4_1_proj_in``; it may not exist."""
    keys = (f"{name}.lora_{part}.weight" for part in ("down", "up"))
    convert = library("diffusers").StableDiffusionXLPipeline.lora_state_dict
    try:
        found = convert(dict.fromkeys(keys), unet_config=config)[0]
    except (ValueError, LookupError):  # for numbers of blocks that are none, or too large
        return ""
    return key_of_peft(next(iter(found))).removesuffix(DOWN)


def key_of_peft(key: str) -> str:
    """A key that begins with ``unet``, in any of the forms that diffusers has had, in that of peft without ``unet``."""
    renamed = library("diffusers.utils").convert_unet_state_dict_to_peft({key: None})
    return next(iter(renamed)).removeprefix(f"{UNET}.")
