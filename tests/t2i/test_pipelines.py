"""Flow-matching pipelines of diffusers: batches, derivatives and guidance; their pictures are in test_untilted."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import fmtt
from fmtt.models.t2i.one_time import NEGATIVE, OneTime
from tests.t2i.derivatives import denoised, rate_error, slope_of
from tests.t2i.pipeline_cases import CASES, TEXTS, model_of, noise, rows, told

pytestmark = pytest.mark.filterwarnings("ignore")
BY_NAME = pytest.mark.parametrize("name", CASES)


@BY_NAME
def test_a_batch_mixes_times_and_prompts(name: str) -> None:
    model, t = model_of(name), torch.tensor([0.0, 0.4, 0.7])
    together = model.velocity(noise(model), t, rows(model, 0, 1, 2))
    for k in range(3):
        alone = model.velocity(noise(model)[[k]], t[[k]], rows(model, k))
        torch.testing.assert_close(together[[k]], alone, rtol=1e-4, atol=1e-5)
    for other in (model.velocity(noise(model)[:1], t[1:2], rows(model, 0)),
                  model.velocity(noise(model)[:1], t[:1], rows(model, 2))):  # fmt: skip
        assert (other - together[:1]).abs().max() > 1e-3


def double_of(name: str) -> OneTime:
    model = model_of(name)
    model.transformer.double()
    model.latents.vae.double()
    return model


@BY_NAME
def test_gradients_reach_the_latents_through_look_ahead_and_decoder(name: str) -> None:
    model, case = double_of(name), CASES[name]
    slope = slope_of(model, denoised(model, rows(model, 0)), h=case.h)
    assert slope.off < 1e-4 and slope.gain > 0


@BY_NAME
def test_the_material_derivative_agrees_with_differences_in_time(name: str) -> None:
    model, case = double_of(name), CASES[name]
    assert rate_error(model, denoised(model, rows(model, 0)), rows(model, 0), h=case.time_h) < 1e-3


@BY_NAME
def test_encoding_inverts_the_scale_of_the_latents(name: str) -> None:
    model = model_of(name)
    pictures = torch.rand(2, 3, 16, 24, generator=torch.Generator().manual_seed(4)) * 2 - 1
    seen: list[torch.Tensor] = []
    decode = model.latents.vae.decode
    model.latents.vae.decode = lambda plain, **others: seen.append(plain) or decode(plain, **others)
    model.decode(model.encode(pictures))
    batch = pictures[:, :, None] if name == "QwenImagePipeline" else pictures
    code = model.latents.vae.encode(batch)
    plain = code.latent if name == "SanaPipeline" else code.latent_dist.mode()
    torch.testing.assert_close(seen[0], plain, rtol=1e-4, atol=1e-5)


@BY_NAME
def test_without_guidance_the_negative_prompt_is_not_asked(name: str) -> None:
    guided = model_of(name)
    plain = type(guided)(guided.transformer, guided.latents.vae, told(name), 16, 24, name != "ZImagePipeline")
    x, t, condition = noise(guided), torch.full((3,), 0.3), rows(guided, 0, 1, 2)
    asked = {key: value for key, value in condition.items() if not key.startswith(NEGATIVE)}
    assert torch.equal(plain.velocity(x, t, condition), plain.velocity(x, t, asked))
    assert (guided.velocity(x, t, condition) - plain.velocity(x, t, asked)).abs().max() > 1e-3


def test_the_engine_tilts_them_by_their_denoiser_and_refuses_a_flow_map() -> None:
    model = model_of("StableDiffusion3Pipeline")

    def sample(**settings: Any) -> fmtt.Result:
        return fmtt.sample(
            model, lambda pictures: -pictures.square().mean((1, 2, 3)), conditions=TEXTS[:2], mode=fmtt.modes.search,
            scale=10.0, groups=1, particles=2, steps=2, **settings,
        )  # fmt: skip

    result = sample(look_ahead=fmtt.Denoiser)
    assert result.samples.shape == (2, 2, 4, 8, 12) and torch.isfinite(result.rewards).all()
    with pytest.raises(ValueError, match="needs a flow map, and the model has a velocity only"):
        sample()
