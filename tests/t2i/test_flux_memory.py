"""Layers that compute again save memory and change no gradient."""

from __future__ import annotations

import pytest
import torch

from fmtt.flow.memory import Memory
from fmtt.models.t2i.flux import FluxFlowMap, with_two_times
from fmtt.models.t2i.weights import frozen
from tests.t2i.tiny import flux_transformer, flux_vae, told

pytestmark = pytest.mark.filterwarnings("ignore")
S, ONE = torch.tensor([0.3]), torch.ones(1)


def model(checkpointing: bool = False) -> FluxFlowMap:
    transformer, vae = (
        frozen(part, checkpointing=checkpointing) for part in (with_two_times(flux_transformer()), flux_vae())
    )
    return FluxFlowMap(transformer, vae, told, 16, 24)


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
