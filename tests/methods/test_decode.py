"""Latents behind a linear decoder: rewards see decoded samples, and the answer is known."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import Tensor

import fmtt
from fmtt.api import Run
from fmtt.data.images import read_sample
from fmtt.flow.schedules import ConstantChi, ConstantEpsilon, PowerEpsilon, ZeroEpsilon
from fmtt.methods.editing import NoisedImage
from fmtt.step.transport import FlowMapTransport
from tests.support import GAUSSIAN, Truth, worst

MATRIX = torch.tensor([[1.0, 1.0], [1.0, -1.0], [0.5, 0.0]])  # with orthogonal columns, so that the tilt is diagonal
CENTER, PRECISION = torch.tensor([1.0, 0.4, -0.3]), 0.8
LATENTS = fmtt.Flow(
    (2,), GAUSSIAN.velocity, GAUSSIAN.flow_map, decode=lambda z: z @ MATRIX.to(z).T, exact_flow_map=True,
)  # fmt: skip
STATISTICAL = {"steps": 16, "groups": 96, "particles": 64, "epsilon": PowerEpsilon(0.5)}
DENOISED = {"look_ahead": fmtt.Denoiser, "mode": fmtt.modes.importance(weights="material")}
WAYS = {
    "jarzynski": {"mode": fmtt.modes.importance(weights="jarzynski")},
    "material": {"mode": fmtt.modes.importance(weights="material")},
    "denoiser": DENOISED,
    "kernel": {"mode": fmtt.modes.importance(weights="kernel"), "transport": FlowMapTransport},
    "ode": DENOISED | {"epsilon": ZeroEpsilon(), "steps": 100},
    "chi": {"chi": ConstantChi(0.3), "epsilon": ConstantEpsilon(0.3), "steps": 40},
    "noise_smc": {"mode": fmtt.modes.noise_smc()},
}


def reward(pictures: Tensor) -> Tensor:
    assert pictures.shape[1:] == (3,)
    return -PRECISION / 2 * (pictures - CENTER.to(pictures)).square().sum(1)


def run(**changes: object) -> Run:
    return fmtt.assemble(LATENTS, reward, **STATISTICAL | changes)


def truth() -> Truth:
    matrix, center = MATRIX.double(), CENTER.double()
    form = PRECISION * matrix.square().sum(0), PRECISION * center @ matrix, float(-PRECISION / 2 * center @ center)
    law, log_z = GAUSSIAN.law.tilted(*form)
    return Truth(law.mean, law.second_moment, log_z)


@pytest.mark.parametrize("way", WAYS)
def test_tilts_through_a_linear_decoder_hit_the_closed_form(way: str) -> None:
    assert worst(run(**WAYS[way]).loop.last().population, truth()) < 4.5


def test_a_gradient_that_stops_before_the_decoder_is_caught() -> None:
    """A mutant: the decoder is taken for a shift, so that its matrix is missing in the gradient."""
    matrix = torch.zeros(3, 2)
    matrix[0, 0] = matrix[1, 1] = 1.0
    wrong = replace(
        LATENTS, decode=lambda z: (z @ MATRIX.to(z).T).detach() + z @ matrix.to(z).T - (z @ matrix.to(z).T).detach()
    )
    loop = fmtt.assemble(wrong, reward, **STATISTICAL, mode=fmtt.modes.importance(weights="jarzynski")).loop
    assert worst(loop.last().population, truth()) > 8


def test_the_meter_counts_the_decoder() -> None:
    tilted = run(groups=2, particles=4, steps=3)
    result = fmtt.finish(tilted, tilted.loop.last())
    counts = result.meter.counts
    assert counts["decode"] == counts["reward"] + 8  # and the samples that are returned
    assert counts["decode_backward"] == counts["reward_backward"] == 8  # at t = 1/3: no tilt before, no noise after
    assert result.decoded.shape == (2, 4, 3)
    torch.testing.assert_close(result.decoded, result.samples @ MATRIX.T)


def test_the_result_of_a_model_without_a_decoder_is_its_samples() -> None:
    result = fmtt.sample(GAUSSIAN, lambda x: x[:, 0], groups=1, particles=2, steps=2)
    assert result.decoded is result.samples
    assert result.meter.counts["decode"] == 0


SCALE = torch.tensor([2.0, -0.5])
PICTURES = fmtt.Flow(
    (2,), GAUSSIAN.velocity, GAUSSIAN.flow_map, decode=lambda z: (z * SCALE.to(z)).reshape(-1, 1, 1, 2),
    encode=lambda x: x.reshape(-1, 2) / SCALE.to(x), exact_flow_map=True,
)  # fmt: skip


def test_a_picture_to_edit_is_encoded() -> None:
    start = partial(NoisedImage("three", 0.3))
    made = fmtt.assemble(PICTURES, lambda x: x.sum((1, 2, 3)), start=start, epsilon=ZeroEpsilon(), groups=1, steps=4)
    picture = read_sample("path", "three", (1, 1, 2))
    torch.testing.assert_close(made.problem.image, picture.reshape(2) / SCALE)
    torch.testing.assert_close(PICTURES.decode(made.problem.image[None])[0], picture)


def test_a_decoder_without_an_encoder_cannot_edit() -> None:
    with pytest.raises(ValueError, match="cannot encode a picture"):
        model = replace(PICTURES, encode=None)
        fmtt.assemble(model, lambda x: x.sum((1, 2, 3)), start=NoisedImage("three", 0.3), groups=1, steps=4)


def test_people_see_the_better_decoder_and_rewards_the_other() -> None:
    better = replace(LATENTS, render=lambda z: z @ MATRIX.to(z).T + 100)
    settings = {"mode": fmtt.modes.search, "groups": 2, "particles": 4, "steps": 3}
    plain, fine = (fmtt.sample(model, lambda y: -y.square().sum(1), **settings) for model in (LATENTS, better))
    assert torch.equal(fine.samples, plain.samples) and torch.equal(fine.rewards, plain.rewards)
    assert torch.equal(fine.decoded, plain.decoded + 100)
