"""Times are not rounded to the type of the network: in bfloat16 the noise levels .999 and 1 would be one number."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from fmtt.models.t2i.exact_times import exact_times
from tests.t2i.test_all_paths import MODELS, networks_of

pytestmark = pytest.mark.filterwarnings("ignore")
LEVELS = torch.tensor([0.0, 1e-3, 2e-3])  # t, where the noise levels 1 - t are 1 and 1 to three digits
ELSEWHERE = ("flux_ahead", "sdxl_lcm", "generator")
# The velocity of flux_ahead is that of another model here. Those of U-Nets would differ even if their times were
# rounded, since what they return is split by the exact time; so what they are told is looked at below.


@pytest.mark.parametrize("name", [name for name in MODELS if name not in ELSEWHERE])
def test_close_times_give_different_velocities_in_bfloat16(name: str) -> None:
    half, exact = MODELS[name]().to(torch.device("cpu"), torch.bfloat16), MODELS[name]()
    half.guidance = exact.guidance = 2.0  # 2000 is a number of bfloat16; 3500, as the pipelines have it, becomes 3504
    x = torch.randn(1, *exact.shape, generator=torch.Generator().manual_seed(1)).expand(3, *exact.shape)
    with torch.no_grad():
        found = half.velocity(x.bfloat16(), LEVELS, half.encode_prompts(["a cat"] * 3)).float()
        right = exact.velocity(x, LEVELS, exact.encode_prompts(["a cat"] * 3))
    assert not torch.equal(found[0], found[1]) and not torch.equal(found[1], found[2])
    assert (found - right).norm() < 0.05 * right.norm()


@pytest.mark.parametrize("name", ["flux3_klein", "flux", "hunyuan_image"])
def test_close_second_times_do(name: str) -> None:
    half = MODELS[name]().to(torch.device("cpu"), torch.bfloat16)
    x = torch.randn(1, *half.shape, generator=torch.Generator().manual_seed(1)).expand(3, *half.shape).bfloat16()
    with torch.no_grad():
        found = half.average(x, torch.zeros(3), LEVELS, half.encode_prompts(["a cat"] * 3))
    assert not torch.equal(found[0], found[1]) and not torch.equal(found[1], found[2])


PLACES = ("time_proj", "time_embed.time_proj", "time_text_embed.time_proj")  # of what embeds the times of a network


@pytest.mark.parametrize("name", ["sana_sprint", *ELSEWHERE])
def test_networks_that_jump_to_the_data_are_told_float32_times(name: str) -> None:
    told: dict[torch.dtype, list[torch.Tensor]] = {torch.float32: [], torch.bfloat16: []}
    for dtype, times in told.items():
        model = MODELS[name]().to(torch.device("cpu"), dtype)
        parts = [part for net in networks_of(model) for place, part in net.named_modules() if place in PLACES]
        for part in parts:
            part.register_forward_hook(lambda _, given, made, times=times: times.append(given[0]))
        x = torch.randn(3, *model.shape, generator=torch.Generator().manual_seed(1)).to(dtype)
        with torch.no_grad():
            model.flow_map(x, 0.3 + LEVELS, torch.ones(3), model.encode_prompts(["a cat"] * 3))
    (right,), (found,) = told.values()
    assert found.dtype == torch.float32 and torch.equal(found, right)
    assert len(right.unique()) == 3 > len(right.bfloat16().unique())


def test_calls_are_told_in_their_order_and_outside_nothing_is() -> None:
    net, one, two = nn.Identity(), torch.ones(1), 2 * torch.ones(1)
    with pytest.raises(KeyError), exact_times(net, one, None, two):
        assert [net(0 * one).item() for _ in range(4)] == [1, 0, 2, 0]
        raise KeyError
    assert net(0 * one) == 0
