"""Tiny random models of the classes of diffusers and transformers, built on the spot."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from diffusers import AutoencoderKLFlux2, Flux3Transformer2DModel
from torch import Tensor, nn

from fmtt.models.t2i.flux3 import WINDOW, Flux3Klein

WIDTH = 32  # of a token of text


def moved(net: nn.Module) -> nn.Module:
    """The frozen network with all parameters moved from their initial values: zeros and ones would hide mistakes."""
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return net.eval().requires_grad_(False)


def flux3_transformer(flow_map: bool = True) -> Flux3Transformer2DModel:
    """80,512 parameters."""
    torch.manual_seed(0)
    return moved(
        Flux3Transformer2DModel(
            in_channels=16, cond_in_channels=16, num_layers=1, num_single_layers=1, attention_head_dim=16,
            num_attention_heads=2, joint_attention_dim=WIDTH, timestep_channels=32, axes_dims_rope=(4, 4, 4, 4),
            flow_map=flow_map,
        )
    )  # fmt: skip


def flux3_vae() -> AutoencoderKLFlux2:
    """Pictures are twice as large as latents, four times as large as packed ones."""
    torch.manual_seed(1)
    vae = moved(
        AutoencoderKLFlux2(
            block_out_channels=(8, 8), down_block_types=("DownEncoderBlock2D",) * 2,
            up_block_types=("UpDecoderBlock2D",) * 2, layers_per_block=1, latent_channels=4, norm_num_groups=4,
            sample_size=16,
        )
    )  # fmt: skip
    vae.bn.running_mean.normal_()
    vae.bn.running_var.uniform_(0.5, 2.0)
    return vae


def windows(texts: Sequence[str]) -> list[Tensor]:
    """A window for each text; those of long texts are longer, and equal texts have equal ones."""
    found = []
    for text in texts:
        generator = torch.Generator().manual_seed(sum(map(ord, text)))
        found.append(torch.randn(WINDOW * (1 + len(text) // 40), WIDTH, generator=generator))
    return found


def flux3() -> Flux3Klein:
    return Flux3Klein(flux3_transformer(), flux3_vae(), windows, height=16, width=24)
