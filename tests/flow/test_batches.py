"""How populations are cut, also where the memory of a device runs out."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import fmtt
from fmtt.flow.batches import Batches, joined
from fmtt.models.analytic import Gaussian


class Small:
    """A device on which a batch of more than ``fits`` rows does not fit; ``sizes`` has those that did."""

    def __init__(self, fits: int):
        self.fits, self.sizes = fits, list[int]()

    def holds(self, x: Tensor) -> None:
        if len(x) > self.fits:
            raise torch.OutOfMemoryError("CUDA out of memory")
        self.sizes.append(len(x))


@pytest.mark.parametrize("chunk", [None, 1, 3, 7, 100])
def test_each_sees_all_rows_in_order_with_their_prompts(chunk: int | None) -> None:
    x = torch.arange(2 * 5 * 3.0).reshape(2, 5, 3)
    rule = Batches(chunk, prompt=torch.tensor([4, 2]), prompts=5)
    seen = rule.each(lambda part, twice, prompt: torch.cat([part, twice, prompt[:, None]], 1), x, 2 * x)
    assert [len(part) for part in seen[:-1]] == [chunk or 10] * (len(seen) - 1)
    values = joined(seen)
    assert torch.equal(values[:, :3], x.flatten(0, 1)) and torch.equal(values[:, 3:6], 2 * x.flatten(0, 1))
    assert values[:, 6].tolist() == [4.0] * 5 + [2.0] * 5


def test_a_batch_that_does_not_fit_is_halved_and_so_are_later_ones() -> None:
    device, rule = Small(fits=3), Batches(8)

    def double(part: Tensor, prompt: None) -> Tensor:
        device.holds(part)
        return 2 * part

    x = torch.arange(20.0).reshape(4, 5, 1)
    assert torch.equal(joined(rule.each(double, x)), 2 * x.flatten(0, 1))
    assert device.sizes == [2] * 10 and rule.room.most == 2
    rule.each(double, x[:1])
    assert device.sizes[10:] == [2, 2, 1], "what was learned is kept"


def test_a_single_row_that_does_not_fit_is_an_error() -> None:
    device = Small(fits=0)
    with pytest.raises(torch.OutOfMemoryError):
        Batches().each(lambda part, _: device.holds(part), torch.zeros(1, 4, 2))


@pytest.mark.parametrize("mode", [fmtt.modes.importance, fmtt.modes.search, fmtt.modes.noise_opt])
def test_a_run_goes_on_to_the_same_result(mode: object) -> None:
    """The network fits more rows than its gradient: the second refusal comes in the backward pass."""
    device, gradients = Small(fits=6), Small(fits=3)
    plain = Gaussian([0.5, -1.0], [1.0, 0.5])

    class Backward(torch.autograd.Function):
        @staticmethod
        def forward(ctx: object, x: Tensor) -> Tensor:
            return 1 * x

        @staticmethod
        def backward(ctx: object, slope: Tensor) -> Tensor:
            gradients.holds(slope)
            return slope

    def flow_map(x: Tensor, s: Tensor, t: Tensor) -> Tensor:
        device.holds(x)
        return Backward.apply(plain.flow_map(x, s, t))

    def velocity(x: Tensor, t: Tensor) -> Tensor:
        device.holds(x)
        return plain.velocity(x, t)

    settings = {"mode": mode, "groups": 3, "particles": 4, "steps": 5}
    tight = fmtt.sample(fmtt.Flow((2,), velocity, flow_map), lambda x: -x.square().sum(1), **settings)
    wide = fmtt.sample(fmtt.Flow((2,), plain.velocity, plain.flow_map), lambda x: -x.square().sum(1), **settings)
    assert torch.equal(tight.samples, wide.samples) and torch.equal(tight.log_weights, wide.log_weights)
    assert max(device.sizes) <= 6 and max(gradients.sizes) <= 3
