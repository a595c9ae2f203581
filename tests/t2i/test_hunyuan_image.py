"""HunyuanImage-2.1-Distilled: what the pipeline of diffusers makes, and what the engine needs beside it."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler, HunyuanImagePipeline

import fmtt
from fmtt.flow.schedules import ShiftedGrid
from fmtt.models.t2i.hunyuan_image import TOLD, HunyuanImage, load_hunyuan_image
from tests.t2i.derivatives import landing, rate_error, slope_of
from tests.t2i.tiny import scheduler
from tests.t2i.tiny_hunyuan_image import hunyuan, hunyuan_transformer, hunyuan_vae, text_parts, told

pytestmark = pytest.mark.filterwarnings("ignore")
TEXTS = ["a cat", 'a clock with the words "half past ten"', "a dog"]


@pytest.fixture(scope="module")
def model() -> HunyuanImage:
    return hunyuan()


@pytest.fixture(scope="module")
def noise() -> torch.Tensor:
    return torch.randn(3, 16, 4, 6, generator=torch.Generator().manual_seed(2))


def rows(model: HunyuanImage, *which: int) -> dict[str, torch.Tensor]:
    return {name: value[list(which)] for name, value in model.encode_prompts(TEXTS).items()}


def pipeline_of(model: HunyuanImage) -> HunyuanImagePipeline:
    parts = {"text_encoder": None, "tokenizer": None, "text_encoder_2": None, "tokenizer_2": None}
    scheduler = FlowMatchEulerDiscreteScheduler(shift=4.0)
    made = HunyuanImagePipeline(scheduler, vae=model.latents.vae, transformer=model.transformer, **parts)
    made.set_progress_bar_config(disable=True)
    return made


@pytest.mark.parametrize("steps", [1, 4])
@pytest.mark.parametrize("text", [0, 1])
def test_jumps_and_pictures_are_those_of_the_pipeline(
    model: HunyuanImage, noise: torch.Tensor, steps: int, text: int
) -> None:
    names = ("prompt_embeds", "prompt_embeds_mask", "prompt_embeds_2", "prompt_embeds_mask_2")
    given = dict(zip(names, rows(model, text).values(), strict=True))
    size = {"height": 8, "width": 12, "num_inference_steps": steps, "distilled_guidance_scale": 3.5}
    expected = pipeline_of(model)(**given, **size, latents=noise[:1], output_type="pt").images
    x = noise[:1]
    for s, t in pairwise(ShiftedGrid(math.log(4)).times(steps)):
        x = model.flow_map(x, torch.tensor([s]), torch.tensor([t]), rows(model, text))
    torch.testing.assert_close((model.decode(x) / 2 + 0.5).clamp(0, 1), expected, rtol=1e-5, atol=1e-5)


def test_the_second_time_the_guidance_and_the_text_change_the_output(model: HunyuanImage, noise: torch.Tensor) -> None:
    s, ends = torch.tensor([0.3]), [torch.tensor([t]) for t in (0.3, 0.6, 1.0)]
    averages = [model.average(noise[:1], s, t, rows(model, 0)) for t in ends]
    assert (averages[0] - averages[1]).abs().max() > 1e-3 and (averages[1] - averages[2]).abs().max() > 1e-3
    assert torch.equal(model.velocity(noise[:1], s, rows(model, 0)), averages[0])
    assert (averages[0] - model.average(noise[:1], s, ends[0], rows(model, 2))).abs().max() > 1e-3
    other = HunyuanImage(model.transformer, model.latents.vae, told, 8, 12, guidance=1.0)
    assert (averages[0] - other.average(noise[:1], s, ends[0], rows(model, 0))).abs().max() > 1e-3


def test_a_batch_mixes_times_and_prompts(model: HunyuanImage, noise: torch.Tensor) -> None:
    s, t = torch.tensor([0.0, 0.4, 0.7]), torch.tensor([0.5, 0.4, 1.0])
    together = model.flow_map(noise, s, t, rows(model, 0, 1, 2))
    for k in range(3):
        alone = model.flow_map(noise[[k]], s[[k]], t[[k]], rows(model, k))
        torch.testing.assert_close(together[[k]], alone, rtol=1e-4, atol=1e-5)


def test_gradients_reach_the_latents_through_look_ahead_and_decoder() -> None:
    double = HunyuanImage(hunyuan_transformer().double(), hunyuan_vae().double(), told, 8, 12)
    slope = slope_of(double, landing(double, rows(double, 1)))
    assert slope.off < 1e-4 and slope.gain > 0


def test_the_material_derivative_agrees_with_differences_in_time() -> None:
    """Times are multiplied by 1000 inside, and their sines are float32."""
    double = HunyuanImage(hunyuan_transformer().double(), hunyuan_vae().double(), told, 8, 12)
    assert rate_error(double, landing(double, rows(double, 1)), rows(double, 1), h=3e-5) < 1e-3


def test_times_are_not_rounded_to_the_type_of_the_network(noise: torch.Tensor) -> None:
    """In bfloat16 the noise levels 0.999 and 1 are one number."""
    half = hunyuan().to(torch.device("cpu"), torch.bfloat16)
    levels = (torch.tensor([t]) for t in (0.0, 1e-3))
    made = [half.velocity(noise[:1].bfloat16(), t, rows(half, 0)) for t in levels]
    assert made[0].dtype == torch.bfloat16 and not torch.equal(*made)
    exact = hunyuan().velocity(noise[:1], torch.tensor([1e-3]), rows(half, 0))
    assert (made[1] - exact).norm() < 0.05 * exact.norm()


def test_encoding_inverts_the_scale_of_the_latents(model: HunyuanImage) -> None:
    pictures = torch.rand(2, 3, 8, 12, generator=torch.Generator().manual_seed(4)) * 2 - 1
    plain = model.latents.vae.encode(pictures).latent_dist.mode()
    torch.testing.assert_close(model.encode(pictures) / 0.75, plain, rtol=1e-5, atol=1e-6)


def test_the_engine_tilts_it_with_prompts_and_a_decoder(model: HunyuanImage) -> None:
    result = fmtt.sample(
        model, lambda pictures: -pictures.square().mean((1, 2, 3)), conditions=TEXTS[:2], mode=fmtt.modes.search,
        scale=10.0, groups=1, particles=2, steps=2,
    )  # fmt: skip
    assert result.samples.shape == (2, 2, 16, 4, 6) and result.decoded.shape == (2, 2, 3, 8, 12)
    assert torch.isfinite(result.rewards).all()


def test_a_folder_is_a_model_whose_texts_are_encoded_as_by_the_pipeline(tmp_path: Path, noise: torch.Tensor) -> None:
    parts = {"transformer": hunyuan_transformer(), "vae": hunyuan_vae(), **text_parts()}
    for name, part in {**parts, "scheduler": scheduler()}.items():
        part.save_pretrained(tmp_path / name)
    model = load_hunyuan_image(str(tmp_path), 8, 12).to(torch.device("cpu"), torch.float32)
    found = model.encode_prompts(TEXTS[:2])
    expected = HunyuanImagePipeline(scheduler=None, **parts).encode_prompt(TEXTS[:2], batch_size=2)
    for name, value in zip(TOLD, expected, strict=True):
        torch.testing.assert_close(found[name], value)
    assert found["encoder_attention_mask_2"].sum(1).tolist() == [0, 23]
    assert model.flow_map(noise[:2], torch.zeros(2), torch.ones(2), found).shape == (2, 16, 4, 6)
    assert not any(parameter.requires_grad for parameter in model.transformer.parameters())
    assert torch.is_grad_enabled()


def test_what_does_not_fit_or_is_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"has no second time; HunyuanImage-2\.1-Distilled is needed"):
        HunyuanImage(hunyuan_transformer(use_meanflow=False), hunyuan_vae(), told, 8, 12)
    with pytest.raises(ValueError, match=r"model\.height=9, model\.width=12: must be multiples of 2"):
        HunyuanImage(hunyuan_transformer(), hunyuan_vae(), told, 9, 12)
    with pytest.raises(ValueError, match=r"the transformer is not on this machine \(licence Tencent Hunyuan Community"):
        load_hunyuan_image()
    hunyuan_transformer().save_pretrained(tmp_path / "transformer")
    with pytest.raises(ValueError, match=f"model.repository={tmp_path}: has no vae that can be read"):
        load_hunyuan_image(str(tmp_path))
