"""A batch of particles at different times was stepped with the time of the first one.

Every model and every look-ahead gives each row of a batch what it gives that row alone.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from fmtt.flow.protocols import Velocity
from fmtt.models.learned import load_flow_map
from fmtt.models.ring import Ring
from tests.support import LOOK_AHEADS, MODELS

TIMES = torch.tensor([0.1, 0.75, 0.4])
LEARNED: dict[str, Callable[[], Velocity]] = {
    "mnist": lambda: load_flow_map("mnist"), "ring": lambda: Ring(1.0, 0.3), "mixture": lambda: MODELS["mixture"],
}  # fmt: skip


class FirstTime:
    """A model that asks ``right`` at the time of the first row."""

    def __init__(self, right: Velocity):
        self.right, self.shape = right, right.shape

    def velocity(self, x: Tensor, t: Tensor) -> Tensor:
        return self.right.velocity(x, t[:1].expand(len(t)))

    def flow_map(self, x: Tensor, s: Tensor, t: Tensor) -> Tensor:
        return self.right.flow_map(x, s[:1].expand(len(s)), t[:1].expand(len(t)))


def differs(call: Callable[[Tensor, Tensor], Tensor], shape: tuple[int, ...]) -> bool:
    """Whether a batch gives other rows than each row alone."""
    x = torch.randn(3, *shape, generator=torch.Generator().manual_seed(1))
    together = call(x, TIMES)
    alone = torch.cat([call(x[[k]], TIMES[[k]]) for k in range(3)])
    return not torch.allclose(together, alone, atol=1e-4)


@pytest.mark.parametrize("name", LOOK_AHEADS)
def test_look_aheads(name: str) -> None:
    model = MODELS["gaussian"]
    assert not differs(lambda x, t: LOOK_AHEADS[name](model)(x, t).sample, model.shape)
    wrong = differs(lambda x, t: LOOK_AHEADS[name](FirstTime(model))(x, t).sample, model.shape)
    assert wrong == (name != "none")


@pytest.mark.parametrize("name", LEARNED)
def test_models(name: str) -> None:
    model, wrong = LEARNED[name](), FirstTime(LEARNED[name]())
    shape = tuple(model.shape)
    with torch.no_grad():
        for flow, right in ((model, True), (wrong, False)):
            assert differs(flow.velocity, shape) != right
            assert differs(lambda x, t, flow=flow: flow.flow_map(x, t, torch.ones_like(t)), shape) != right
