"""The memory of published sizes, from tensors without content."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses import FakeTensorMode

import fmtt
from fmtt.api import Run
from fmtt.flow.protocols import as_flow
from fmtt.run import published_sizes
from fmtt.run.memory import estimate, measured
from fmtt.run.memory_table import GIB, needs_of
from fmtt.run.reward_sizes import reward_rows
from tests.t2i.test_all_paths import MODELS, TEXT

pytestmark = pytest.mark.filterwarnings("ignore")


def test_weights_and_layers_of_klein_are_counted() -> None:
    with FakeTensorMode():
        plain, saved = (needs_of("flux3_klein", 128, checkpointing) for checkpointing in (False, True))
    assert plain.weights == saved.weights
    assert plain.weights == pytest.approx(2 * 5.55e9 + 4 * 0.084e9, rel=0.01), "bfloat16, and a decoder in float32"
    tokens, parameters = (128 // 16) ** 2 + 80, 5.55e9
    assert 0.5 < plain.jump / (2 * parameters * tokens) < 1, "two for each weight and token; some see one kind of token"
    assert plain.jump == saved.jump
    assert 2 * plain.jump < plain.gradient < saved.gradient, "no gradient of weights is computed"
    assert saved.batch.sample < 0.5 * plain.batch.sample
    assert plain.chunk(10 * GIB) == 0 < plain.chunk(80 * GIB) < saved.chunk(80 * GIB)


class Judge(nn.Module):
    """A reward with layers of its own."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Conv2d(3, 8, 3), nn.SiLU(), nn.Conv2d(8, 1, 3)).requires_grad_(False)

    def forward(self, pictures: Tensor) -> Tensor:
        return self.layers(pictures).mean((1, 2, 3))


def run_of(name: str) -> Run:
    model = MODELS[name]()
    generates = as_flow(model).velocity is None
    look_ahead = fmtt.Denoiser if as_flow(model).flow_map is None else lambda flow: fmtt.FlowMapJumps(flow, 1)
    return fmtt.assemble(
        model, Judge(), conditions=[TEXT], look_ahead=look_ahead, groups=1, particles=2, steps=2,
        mode=fmtt.modes.noise_opt if generates else fmtt.modes.search,
    )  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_batches_of_every_model_need_what_was_foretold(name: str) -> None:
    """One sample and two foretell what a batch of six needs, and one sample what each part does.

    Parts count what every batch needs once, such as tables of places, as needs of each sample.
    """
    run = run_of(name)
    needs = estimate(run, gradient=True)
    found = measured(run, 6, gradient=True)
    assert 0.99 * found.most <= needs.batch(6) <= 1.1 * found.most
    assert min(needs.parts.values()) > 0, "look-ahead, decoder and reward each leave something for the gradient"
    assert needs.weights["reward"] == sum(value.nbytes for value in Judge().parameters())
    assert min(needs.weights[part] for part in ("look-ahead", "decoder")) > 0
    assert {part: 6 * count for part, count in needs.parts.items()} == pytest.approx(found.parts, rel=0.1)


@pytest.mark.parametrize("name", ["flux3_klein", "flux", "sana_sprint"])
def test_tensors_without_content_need_what_real_ones_do(name: str) -> None:
    real = estimate(run_of(name), gradient=True)
    with FakeTensorMode(allow_non_fake_inputs=True):
        assert estimate(run_of(name), gradient=True) == real


@pytest.mark.parametrize(
    ("name", "parameters"), [("sdxl_turbo", 2.567e9), ("sdxl_lcm", 2 * 2.567e9), ("sd_turbo", 0.866e9)]
)
def test_networks_of_stable_diffusion_have_the_sizes_that_are_published(name: str, parameters: float) -> None:
    """Beside an autoencoder of 83.7 million parameters."""
    with FakeTensorMode():
        *networks, vae = published_sizes.MODELS[name](64, False).networks
        count = sum(value.numel() for network in networks for value in network.parameters())
        assert count == pytest.approx(parameters, rel=1e-3)
        assert sum(value.numel() for value in vae.parameters()) == pytest.approx(83.7e6, rel=1e-3)


def test_two_networks_need_the_weights_of_both_and_a_sample_what_one_needs() -> None:
    with FakeTensorMode():
        one, two = (needs_of(name, 128, checkpointing=True) for name in ("sdxl_turbo", "sdxl_lcm"))
    assert replace(two.batch, weights=one.batch.weights) == one.batch and two.jump == one.jump
    assert two.weights - one.weights == pytest.approx(2 * 2.567e9, rel=0.01)
    used = [sum(needs.batch.weights.values()) for needs in (one, two)]
    assert used[1] - used[0] == pytest.approx(2 * 2.567e9, rel=0.01), "a run counts those that it uses, too"
    assert used[0] == pytest.approx(one.weights, rel=0.03) and used[0] < one.weights, "all but half of an autoencoder"


def test_rewards_have_the_sizes_that_are_published() -> None:
    """CLIP ViT-L/14 has 428 million parameters, ViT-H/14 986, Qwen3-VL-4B 4.44 and Qwen2.5-VL-7B 8.29 billion."""
    found = {name: float(parameters) for _, name, parameters, _ in reward_rows()}
    assert found == {
        "CLIP ViT-L/14": 0.43, "CLIP ViT-H/14": 0.99, "BLIP": 0.45, "Qwen3-VL-4B, bfloat16": 4.44,
        "Qwen2.5-VL-7B, bfloat16": 8.29,
    }  # fmt: skip
    assert [row[-1] for row in reward_rows()][:2] == ["1.59 GiB", "3.67 GiB"], "of float32"
