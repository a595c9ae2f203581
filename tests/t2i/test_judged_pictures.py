"""Pictures of a tiny FLUX.3 klein before a judge behind HTTP, which is told the prompts."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from safetensors.torch import load_file

from fmtt.run.serve_reward import RewardServer
from tests.command import Outcome
from tests.rewards.judges import CPU, listening, told

pytestmark = pytest.mark.filterwarnings("ignore")
TEXTS = ["a cat", "an analog clock that shows exactly a quarter to five"]


@pytest.mark.parametrize("words", [("mode=best_of_n",), ("mode=fk_steering", "mode.interval=1")], ids=str)
def test_rewards_are_those_of_decoded_pictures_and_their_prompts(
    fmtt: Callable[..., Outcome], klein: str, words: tuple[str, ...]
) -> None:
    with listening(RewardServer("127.0.0.1", 0, told, CPU)) as address:
        done = fmtt(
            "model=flux3_klein", f"model.repository={klein}", "model.height=16", "model.width=24", "reward=server",
            f"reward.address={address}", "reward.batch=3", "reward.scale=1e-4", f"prompt={TEXTS}", *words,
            "population.groups=1", "population.particles=4", "sampler.steps=4", "report=false", "baseline=false",
            small=False,
        )  # fmt: skip
    assert done.status == 0, done.err
    found = load_file(done.folder / "samples.safetensors")
    for number, text in enumerate(TEXTS):
        expected = told(found["decoded"][number], [text] * 4)
        torch.testing.assert_close(found["rewards"][number], expected.double(), rtol=1e-4, atol=0)
    assert done.metrics["nfe/reward"] == (8 if "mode=best_of_n" in words else 32)
    assert done.metrics["nfe/backward"] == 0
