"""What saves memory changes no picture: a tiny decoder for rewards, and layers that compute again."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderTiny

import fmtt
from fmtt.flow.memory import Memory
from fmtt.models.t2i.flux import FluxFlowMap, tiny_of, with_two_times
from fmtt.models.t2i.weights import frozen
from tests.t2i.tiny import flux_transformer, flux_vae, moved, told

pytestmark = pytest.mark.filterwarnings("ignore")
S, ONE = torch.tensor([0.3]), torch.ones(1)


def tiny_vae() -> AutoencoderTiny:
    torch.manual_seed(5)
    sides = ("encoder", "decoder")
    sizes = {f"{side}_block_out_channels": (8, 8) for side in sides} | {f"num_{side}_blocks": (1, 1) for side in sides}
    return moved(AutoencoderTiny(latent_channels=4, **sizes))


def model(tiny: AutoencoderTiny | None = None, checkpointing: bool = False) -> FluxFlowMap:
    transformer, vae = (
        frozen(part, checkpointing=checkpointing) for part in (with_two_times(flux_transformer()), flux_vae())
    )
    return FluxFlowMap(transformer, vae, told, 16, 24, tiny=tiny)


def test_rewards_see_the_tiny_decoder_and_people_the_large_one() -> None:
    small, large = model(tiny_vae()), model()
    latents = torch.randn(2, *small.shape, generator=torch.Generator().manual_seed(6))
    assert torch.equal(small.render(latents), large.decode(latents))
    assert torch.equal(small.decode(latents), tiny_vae().decode(latents).sample), "as a pipeline with it would"
    assert (small.decode(latents) - large.decode(latents)).abs().max() > 1e-2
    settings = {"conditions": ["a cat"], "mode": fmtt.modes.search, "groups": 1, "particles": 2, "steps": 2}
    result = fmtt.sample(small, lambda seen: -seen.square().mean((1, 2, 3)), **settings)
    assert torch.equal(result.decoded[0], large.decode(result.samples[0]))
    expected = -small.decode(result.samples[0]).square().mean((1, 2, 3)).double()
    torch.testing.assert_close(result.rewards[0], expected, rtol=1e-5, atol=1e-6)


def test_checkpointing_gives_the_same_gradient_in_less_memory() -> None:
    slopes, kept = [], []
    for checkpointing in (False, True):
        made = model(checkpointing=checkpointing)
        x = torch.randn(1, *made.shape, generator=torch.Generator().manual_seed(7)).requires_grad_()
        with Memory() as memory:
            value = made.decode(made.flow_map(x, S, ONE, made.encode_prompts(["a cat"]))).square().sum()
            kept.append(memory.now)
            slopes.append(torch.autograd.grad(value, x)[0])
    assert torch.equal(*slopes)
    assert kept[1] < 0.4 * kept[0]


def test_a_tiny_decoder_comes_from_a_folder_or_is_missed_in_one_line(tmp_path: Path) -> None:
    tiny_vae().save_pretrained(tmp_path / "taef1")
    latents = torch.randn(1, 4, 8, 12)
    assert torch.equal(tiny_of(str(tmp_path / "taef1"), False).decode(latents)[0], tiny_vae().decode(latents)[0])
    assert tiny_of(None, False) is None
    with pytest.raises(ValueError, match=r"^model\.tiny_decoder=madebyollin/taef1: the network is not on this machine"):
        tiny_of("madebyollin/taef1", False)
