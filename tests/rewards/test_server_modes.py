"""Every method with a judge behind HTTP: what it gives with the same judge in the process, or one line."""

import pytest
import torch
from torch import Tensor

import fmtt as library
from fmtt.flow.faults import CallError
from fmtt.rewards.server import Server
from fmtt.run.serve_reward import RewardServer
from tests.latent import LatentPictures
from tests.rewards.judges import CPU, listening, slope

FREE = ("auto", "base", "beam", "best_of_n", "fk_steering", "fmrg", "local_tilt", "multi_best_of_n", "noise_smc",
        "reweight", "svdd")  # fmt: skip
BY_GRADIENTS = [name for name in library.modes.__all__ if name not in FREE]


def in_the_process(x: Tensor) -> Tensor:
    return slope(x.detach())


def result(mode: str, reward: object) -> library.Result:
    sizes = {"groups": 2, "particles": 8, "steps": 4, "scale": 3.0}
    return library.sample(LatentPictures(), reward, mode=getattr(library.modes, mode), **sizes)


@pytest.mark.parametrize("mode", FREE)
def test_methods_without_gradients_give_the_same(mode: str) -> None:
    """Guidance of fmrg is off where sampler/chi is, as in the library."""
    expected = result(mode, in_the_process)
    with listening(RewardServer("127.0.0.1", 0, slope, CPU)) as address:
        found = result(mode, Server(address, batch=10))
    for name in ("samples", "rewards", "selected", "log_weights", "ancestors"):
        assert torch.equal(getattr(found, name), getattr(expected, name)), name
    assert found.meter.counts == expected.meter.counts and found.meter.reward > 0


@pytest.mark.parametrize("mode", BY_GRADIENTS)
def test_others_say_that_they_need_a_gradient(mode: str) -> None:
    with (
        listening(RewardServer("127.0.0.1", 0, slope, CPU)) as address,
        pytest.raises(CallError, match=r"^the reward is not differentiable, and this mode needs its gradient$"),
    ):
        result(mode, Server(address))
