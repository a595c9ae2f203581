"""What models and rewards offer is found in one place, as records with everything that may be missing."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fmtt.flow.protocols import as_movable, as_reward
from fmtt.models.learned import load_flow_map
from fmtt.run.placement import moved
from tests.support import GAUSSIAN


class Called:
    """A reward with an attribute that is named as a field of the record."""

    scale = 2.0

    def call(self) -> None:
        raise NotImplementedError

    def __call__(self, x: Tensor) -> Tensor:
        return x[:, 0]


def test_a_formula_has_no_networks_and_is_on_every_device() -> None:
    found = as_movable(GAUSSIAN)
    assert (found.networks, found.to, found.offloaded) == ((), None, None)
    assert moved(GAUSSIAN, torch.device("cpu"), torch.float64) is GAUSSIAN


def test_a_learned_model_has_networks_that_take_a_precision() -> None:
    model = load_flow_map("ring")
    found = as_movable(model)
    assert found.networks and all(isinstance(network, nn.Module) for network in found.networks)
    assert found.offloaded is None
    there = as_movable(moved(model, torch.device("cpu"), torch.float64))
    assert {value.dtype for network in there.networks for value in network.parameters()} == {torch.float64}


def test_the_call_of_a_reward_is_the_reward_itself() -> None:
    reward = Called()
    assert (as_reward(reward).call, as_reward(reward).scale) == (reward, 2.0)
