"""Layers that compute again: every network of every model gives the same gradient and keeps less."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn

from fmtt.flow.memory import Memory
from fmtt.flow.protocols import as_flow
from fmtt.models.t2i.latents import Compressed, Deep, Frames, Latents, Scaled, Whitened
from fmtt.models.t2i.weights import frozen
from tests.t2i.test_all_paths import MODELS, networks_of
from tests.t2i.tiny import flux3_vae, flux_vae
from tests.t2i.tiny_hunyuan_image import hunyuan_vae
from tests.t2i.tiny_pipelines import qwen_image_vae
from tests.t2i.tiny_sana_sprint import sana_vae

pytestmark = pytest.mark.filterwarnings("ignore")
TIMES = torch.tensor([0.3, 0.5])
DECODERS: dict[str, tuple[type[Latents], Callable[[], nn.Module]]] = {
    "AutoencoderKL": (Scaled, flux_vae),
    "AutoencoderKLFlux2": (Whitened, flux3_vae),
    "AutoencoderKLHunyuanImage": (Compressed, hunyuan_vae),
    "AutoencoderKLQwenImage": (Frames, qwen_image_vae),
    "AutoencoderDC": (Deep, sana_vae),
}


def gradient_and_memory(call: Callable[[torch.Tensor], torch.Tensor], *shape: int) -> tuple[torch.Tensor, int]:
    """The gradient of a sum of squares, and what is kept for it."""
    x = torch.randn(shape, generator=torch.Generator().manual_seed(3)).requires_grad_()
    with Memory() as memory:
        value = call(x).square().sum()
        kept = memory.now
        return torch.autograd.grad(value, x)[0], kept


@pytest.mark.parametrize("name", DECODERS)
def test_a_decoder_that_computes_again_gives_the_same_gradient_and_keeps_less(name: str) -> None:
    kind, make = DECODERS[name]
    plain: Any = frozen(make())
    saving: Any = frozen(make(), checkpointing=True)
    assert type(plain).__name__ == name
    assert plain.state_dict().keys() == saving.state_dict().keys()
    (right, most), (found, less) = (
        gradient_and_memory(latents.decode, 1, latents.channels, 8, 8) for latents in (kind(plain), kind(saving))
    )
    torch.testing.assert_close(found, right)
    assert right.abs().max() > 0
    assert less < 0.8 * most or name == "AutoencoderKLQwenImage", (less, most)


CALLS = {"velocity": (TIMES,), "flow_map": (TIMES, torch.ones(2))}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("name", MODELS)
def test_networks_that_compute_again_give_the_same_gradient_and_keep_less(name: str, call: str) -> None:
    """The autoencoder is left as it is."""
    found = []
    for checkpointing in (False, True):
        model = MODELS[name]()
        for network in networks_of(model):
            frozen(network, checkpointing and network not in model.autoencoders)
        made, condition = getattr(as_flow(model), call), model.encode_prompts(["a cat", "a dog"])
        if made is None:
            pytest.skip(f"{name} has no {call}")
        told = partial(made, condition=condition)
        found.append(gradient_and_memory(lambda x, told=told: told(x, *CALLS[call]), 2, *model.shape))
    (right, most), (slope, less) = found
    assert torch.equal(slope, right) and right.abs().max() > 0
    assert less < 0.5 * most, (less, most)
