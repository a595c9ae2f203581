"""Where the memory runs out inside a text-to-image model, batches are halved, and the run gives what it would give."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn

import fmtt
from tests.t2i.test_all_paths import MODELS

pytestmark = pytest.mark.filterwarnings("ignore")
NAMES = ("flux3_klein", "flux_ahead", "flux")  # without guidance, which shows each sample twice
PROMPTS = ["a cat", "a dog"]
FAILED = "CUDA out of memory"


def of_network(model: Any) -> nn.Module:
    """The network that moves samples, or the first of them."""
    return model.networks[0]


def of_decoder(model: Any) -> nn.Module:
    return model.autoencoders[0].decoder


def crowded(net: nn.Module, most: int) -> list[int]:
    """The network on a device that holds batches of ``most`` rows; the sizes that it is asked for, as they come."""
    asked = list[int]()

    def enter(_: nn.Module, args: tuple, kwargs: dict) -> None:
        rows = next(value for value in (*args, *kwargs.values()) if isinstance(value, torch.Tensor) and value.ndim > 1)
        asked.append(len(rows))
        if len(rows) > most:
            raise torch.OutOfMemoryError(FAILED)

    net.register_forward_pre_hook(enter, with_kwargs=True)
    return asked


def result(model: Any, chunk: int | None = None) -> fmtt.Result:
    return fmtt.sample(
        model, lambda seen: seen.square().mean((1, 2, 3)), conditions=PROMPTS, groups=1, particles=4, steps=2,
        look_ahead=partial(fmtt.FlowMapJumps, steps=1), chunk=chunk, scale=5.0, mode=fmtt.modes.search,
    )  # fmt: skip


@pytest.mark.parametrize("part", [of_network, of_decoder])
@pytest.mark.parametrize("name", NAMES)
def test_a_run_goes_on_in_smaller_batches_with_the_same_result(name: str, part: Callable[[Any], nn.Module]) -> None:
    model = MODELS[name]()
    asked = crowded(part(model), most=2)
    found, expected = result(model), result(MODELS[name](), chunk=2)
    assert asked[:3] == [8, 4, 2] and set(asked[3:]) <= {1, 2}, "all at once, halves, quarters, and so for ever"
    for field in ("samples", "decoded", "rewards", "log_weights"):
        torch.testing.assert_close(getattr(found, field), getattr(expected, field), rtol=1e-5, atol=1e-5)
    for field in ("ancestors", "selected"):
        assert torch.equal(getattr(found, field), getattr(expected, field)), field
    assert found.rewards.std() > 1e-4


def test_a_single_sample_that_does_not_fit_ends_the_run() -> None:
    model = MODELS["flux3_klein"]()
    asked = crowded(of_network(model), most=0)
    with pytest.raises(torch.OutOfMemoryError, match=FAILED):
        result(model)
    assert asked == [8, 4, 2, 1]
