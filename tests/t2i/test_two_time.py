"""What a network with two times declares is what its calls, its model and its user are told."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
import torch
from hydra import compose, initialize_config_dir
from torch import Tensor

from fmtt.flow.protocols import as_flow
from fmtt.models.t2i.hunyuan_image import HunyuanImage
from fmtt.models.t2i.two_time import UNKNOWN, Times, TwoTime, absolute, difference
from fmtt.run.configs import CONFIGS
from fmtt.run.velocity_check import gaps_of
from tests.t2i.test_all_paths import MODELS

pytestmark = pytest.mark.filterwarnings("ignore")


class Recorded(TwoTime):
    """Returns ``3 first + second`` everywhere."""

    shape = (2,)

    def __init__(self, times: Times):
        self.times = times  # type: ignore[misc]
        self.seen: list[tuple[float, float]] = []

    def network(self, x: Tensor, first: Tensor, second: Tensor, condition: Mapping[str, Tensor]) -> Tensor:
        self.seen.append((first.item(), second.item()))
        return (3 * first + second)[:, None].expand_as(x)


@pytest.mark.parametrize("unit", [1.0, 1000.0])
@pytest.mark.parametrize(("second", "told"), [(absolute, 0.125), (difference, 0.625)])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_unit_second_time_and_sign(
    unit: float, second: Callable[[Tensor, Tensor], Tensor], told: float, sign: float
) -> None:
    """From t = 1/4 to t = 7/8, which are the noise levels 3/4 and 1/8."""
    model, x = Recorded(Times(unit, second, sign)), torch.tensor([[1.0, -2.0]])
    landed = model.flow_map(x, torch.tensor([0.25]), torch.tensor([0.875]), {})
    assert model.seen == [(unit * 0.75, unit * told)]
    expected = x - 0.625 * sign * unit * (3 * 0.75 + told)
    torch.testing.assert_close(landed, expected)


def test_the_velocity_is_the_diagonal() -> None:
    model, t = Recorded(Times(second=difference)), torch.tensor([0.25])
    torch.testing.assert_close(model.velocity(torch.zeros(1, 2), t, {}), torch.full((1, 2), -2.25))
    assert model.seen == [(0.75, 0.0)]


def test_a_model_to_the_data_alone_is_no_flow_map_to_other_times() -> None:
    assert as_flow(Recorded(Times(data_only=True))).data_only and not as_flow(Recorded(Times())).data_only


def test_a_model_whose_diagonal_is_none_has_a_velocity_of_its_own() -> None:
    with pytest.raises(TypeError, match="Silent: its diagonal is no velocity, so it needs a velocity of its own"):

        class Silent(HunyuanImage):
            times = Times(diagonal=False)

    class Own(HunyuanImage):
        times = Times(diagonal=False)

        def velocity(self, x: Tensor, t: Tensor, condition: Mapping[str, Tensor]) -> Tensor:
            return x

    assert Own.times.diagonal is False


@pytest.mark.parametrize("name", MODELS)
def test_users_are_told_where_nobody_knows_whether_the_diagonal_is_the_velocity(name: str) -> None:
    caution = as_flow(MODELS[name]()).caution
    assert caution == (UNKNOWN if name in ("flux3_klein", "hunyuan_image") else None)


def test_the_command_that_measures_it_runs(klein: str) -> None:
    words = [f"model.repository={klein}", "model.height=16", "model.width=24", "prompt=a cat", "check.rows=2"]
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        settings = compose("check_velocity", ["model=flux3_klein", "reward=symmetry", "check.steps=4", *words])
    found = gaps_of(settings)
    assert list(found) == [0, 0.25, 0.5, 0.75]
    for gap in found.values():
        assert gap.ode > gap.solver > 0 < gap.jumps, "the diagonal of random weights is not the velocity of their map"
