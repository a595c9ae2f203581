"""Rewards see pictures by a tiny decoder, people by the large one; what does not fit gets one line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderDC, AutoencoderTiny

import fmtt
from fmtt.flow.protocols import as_flow
from fmtt.models.t2i.families import Flux2Klein, QwenImage, StableDiffusion3
from fmtt.models.t2i.flux import FluxFlowMap, FluxVelocity, with_two_times
from fmtt.models.t2i.flux_ahead import FluxAhead
from fmtt.models.t2i.generator import load_generator
from fmtt.models.t2i.latents import OnLatents
from fmtt.models.t2i.tiny_decoders import with_tiny_decoder
from fmtt.models.t2i.weights import frozen
from tests.t2i.tiny import flux3_vae, flux_transformer, flux_vae, moved, told
from tests.t2i.tiny_hunyuan_image import hunyuan
from tests.t2i.tiny_pipelines import qwen_image_vae
from tests.t2i.tiny_sana_sprint import sana_sprint, sana_vae
from tests.t2i.tiny_unet import save

pytestmark = pytest.mark.filterwarnings("ignore")


def tiny(channels: int = 4, stages: int = 2) -> AutoencoderTiny:
    torch.manual_seed(5)
    parts = {"block_out_channels": (8,) * stages, "blocks": (1,) * stages}
    sizes = {
        f"{side}_block_out_channels": parts["block_out_channels"] for side in ("encoder", "decoder")
    } | {f"num_{side}_blocks": parts["blocks"] for side in ("encoder", "decoder")}  # fmt: skip
    return moved(AutoencoderTiny(latent_channels=channels, **sizes))


def other_sana_vae() -> AutoencoderDC:
    net = sana_vae()
    with torch.no_grad():
        for parameter in net.decoder.parameters():
            parameter.mul_(0.9)
    return net


def flux() -> FluxFlowMap:
    return FluxFlowMap(frozen(with_two_times(flux_transformer())), frozen(flux_vae()), told, 16, 24)


def flux_ahead() -> FluxAhead:
    return FluxAhead(*(FluxVelocity(frozen(flux_transformer()), flux_vae(), told, 16, 24) for _ in range(2)))


def sd3() -> StableDiffusion3:
    return StableDiffusion3(None, frozen(flux_vae()), told, 16, 24, 3.0)


def plain(net: AutoencoderTiny, latents: torch.Tensor) -> torch.Tensor:
    return net.decode(latents).sample


def deep(net: AutoencoderDC, latents: torch.Tensor) -> torch.Tensor:
    return net.decode(latents / net.config.scaling_factor).sample


CASES = {
    "flux": (flux, tiny, plain),
    "flux_ahead": (flux_ahead, tiny, plain),
    "sd3": (sd3, tiny, plain),
    "sana_sprint": (sana_sprint, other_sana_vae, deep),
}


@pytest.mark.parametrize("name", CASES)
def test_rewards_see_the_tiny_decoder_and_people_the_large_one(name: str, tmp_path: Path) -> None:
    make, small, decode = CASES[name]
    small().save_pretrained(tmp_path / "tiny")
    model, large = with_tiny_decoder(make(), str(tmp_path / "tiny"), False), make()
    assert len(model.autoencoders) == 2 and not model.seen.vae.training
    latents = torch.randn(2, *model.shape, generator=torch.Generator().manual_seed(6))
    flow = as_flow(model)
    assert torch.equal(flow.render(latents), as_flow(large).decode(latents))
    assert torch.equal(flow.decode(latents), decode(small(), latents)), "as a pipeline with it would"
    assert (flow.decode(latents) - large.decode(latents)).abs().max() > 1e-2


def test_a_search_optimises_what_the_tiny_decoder_shows(tmp_path: Path) -> None:
    tiny().save_pretrained(tmp_path / "taef1")
    model = with_tiny_decoder(flux(), str(tmp_path / "taef1"), False)
    settings = {"conditions": ["a cat"], "mode": fmtt.modes.search, "groups": 1, "particles": 2, "steps": 2}
    result = fmtt.sample(model, lambda seen: -seen.square().mean((1, 2, 3)), **settings)
    assert torch.equal(result.decoded[0], flux().decode(result.samples[0]))
    expected = -tiny().decode(result.samples[0]).sample.square().mean((1, 2, 3)).double()
    torch.testing.assert_close(result.rewards[0], expected, rtol=1e-5, atol=1e-6)


def test_a_generator_is_loaded_with_one(tmp_path: Path) -> None:
    tiny().save_pretrained(tmp_path / "taesd")
    model = load_generator(save(tmp_path / "turbo", False), 16, 24, tiny_decoder=str(tmp_path / "taesd"))
    latents = torch.randn(2, *model.shape, generator=torch.Generator().manual_seed(6))
    assert torch.equal(model.decode(latents), plain(tiny(), latents))


def test_none_changes_nothing() -> None:
    model = flux()
    assert with_tiny_decoder(model, None, False) is model and model.seen is None


@pytest.mark.parametrize(
    ("make", "vae"),
    [
        (lambda: Flux2Klein(None, flux3_vae(), told, 16, 24, 1.0), "AutoencoderKLFlux2"),
        (lambda: QwenImage(None, qwen_image_vae(), told, 16, 24, 1.0), "AutoencoderKLQwenImage"),
        (hunyuan, "AutoencoderKLHunyuanImage"),
    ],
)
def test_a_model_without_tiny_decoders_says_so(make: Callable[[], OnLatents], vae: str) -> None:
    with pytest.raises(ValueError, match=f"^model.tiny_decoder=taef2: none is known for {vae}$"):
        with_tiny_decoder(make(), "taef2", False)


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"channels": 6}, "has latents of 6 channels for 2 x 2 pixels, must have 4 for 2 x 2"),
        ({"stages": 3}, "has latents of 4 channels for 4 x 4 pixels, must have 4 for 2 x 2"),
    ],
)
def test_latents_of_another_shape_are_refused(settings: dict[str, Any], complaint: str, tmp_path: Path) -> None:
    tiny(**settings).save_pretrained(tmp_path / "taesd3")
    with pytest.raises(ValueError, match=f"taesd3: {complaint}"):
        with_tiny_decoder(flux(), str(tmp_path / "taesd3"), False)


def test_a_missing_one_is_named() -> None:
    with pytest.raises(ValueError, match=r"^model\.tiny_decoder=madebyollin/taef1: the network is not on this machine"):
        with_tiny_decoder(flux(), "madebyollin/taef1", False)
