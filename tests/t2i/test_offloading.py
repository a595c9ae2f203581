"""Weights that wait on the CPU: the same numbers, and memory for one block at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from fmtt.models.t2i.placement import waiting
from tests.command import Outcome
from tests.t2i.test_all_paths import MODELS

pytestmark = pytest.mark.filterwarnings("ignore")
CPU = torch.device("cpu")


def landed(model: Any) -> tuple[Tensor, Tensor]:
    """Pictures of one jump, or of the denoiser, and the gradient of a reward through it."""
    condition, t = model.encode_prompts(["a cat", "a dog"]), torch.tensor([0.2, 0.6])
    x = torch.randn(2, *model.shape, generator=torch.Generator().manual_seed(2)).requires_grad_()
    flow_map = getattr(model, "flow_map", None)
    ahead = model.velocity(x, t, condition) if flow_map is None else flow_map(x, t, torch.ones(2), condition)
    seen = model.decode(ahead)
    return seen.detach(), torch.autograd.grad(seen.square().sum(), x)[0]


CASES = [(name, torch.float32) for name in MODELS] + [("flux3_klein", torch.bfloat16)]  # some layers stay in float32


@pytest.mark.parametrize(("name", "dtype"), CASES, ids=str)
def test_numbers_are_the_same(name: str, dtype: torch.dtype) -> None:
    plain, offloaded = MODELS[name]().to(CPU, dtype), MODELS[name]().offloaded(CPU, dtype)
    with torch.autocast("cpu", dtype, enabled=dtype == torch.bfloat16):
        for right, found in zip(landed(plain), landed(offloaded), strict=True):
            torch.testing.assert_close(found, right, rtol=1e-5, atol=1e-5)  # convolutions may round otherwise


def test_what_waits_already_may_be_asked_to_wait_again() -> None:
    """A benchmark builds a run for each prompt with one model."""
    model = MODELS["flux3_klein"]().offloaded(CPU, torch.float32)
    right = landed(model)
    for expected, found in zip(right, landed(model.offloaded(CPU, torch.float32)), strict=True):
        assert torch.equal(expected, found)


class Stack(nn.Module):
    """Six blocks of one layer."""

    _keep_in_fp32_modules = None

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(4)
        self.blocks = nn.ModuleList(nn.Linear(8, 8) for _ in range(6))
        self.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x).tanh()
        return x


def test_few_blocks_are_on_the_device_at_a_time() -> None:
    net, plain = waiting(Stack(), CPU, torch.float32), Stack()
    there: list[int] = []

    def count(*_: Any) -> None:
        there.append(sum(not isinstance(block.weight, DTensor) for block in net.blocks))

    x = torch.randn(3, 8, generator=torch.Generator().manual_seed(5)).requires_grad_()
    for block in net.blocks:
        block.register_forward_pre_hook(count)
        block.register_full_backward_pre_hook(count)
    slopes = [torch.autograd.grad(network(x).square().sum(), x)[0] for network in (net, plain)]
    assert torch.equal(*slopes)
    assert len(there) == 12 and 1 <= max(there) <= 2, there
    count()
    assert there[-1] <= 1


def test_a_run_that_offloads_gives_the_same_samples(fmtt: Callable[..., Outcome], klein: str) -> None:
    words = ("model=flux3_klein", f"model.repository={klein}", "model.height=16", "model.width=24", 'prompt="a cat"',
             "reward=symmetry", "mode=search", "lookahead=flowmap1", "population.groups=1", "population.particles=2",
             "sampler.steps=3")  # fmt: skip
    plain = fmtt(*words, small=False, folder="plain")
    done = fmtt(*words, "offload=true", small=False, folder="offloaded")
    assert done.status == 0, done.err
    samples = (load_file(run.folder / "samples.safetensors")["samples"] for run in (plain, done))
    assert torch.equal(*samples)


def test_other_models_cannot_offload(fmtt: Callable[..., Outcome]) -> None:
    done = fmtt("offload=true")
    assert (done.status, done.complaint) == (2, "fmtt: offload=true: only text-to-image models can do that")
