"""FLUX.3 klein: what the pipeline of diffusers makes, and what the engine needs beside it."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from diffusers.guiders import ClassifierFreeGuidance
from diffusers.modular_pipelines.flux3.before_denoise import Flux3SetTimestepsStep
from diffusers.modular_pipelines.flux3.decoders import Flux3DecodeStep
from diffusers.modular_pipelines.flux3.encoders import Flux3TextEncoderStep
from diffusers.modular_pipelines.flux3.modular_blocks_flux3 import Flux3CoreDenoiseStep
from diffusers.modular_pipelines.flux3.modular_blocks_flux3_distilled import Flux3DistilledCoreDenoiseStep

import fmtt
from fmtt.flow.protocols import Evaluations, as_flow
from fmtt.flow.schedules import ShiftedGrid
from fmtt.models.t2i.flux3 import Flux3Klein, Flux3KleinOnBase, QwenWindows, grid_for, load_flux3_klein
from tests.t2i.derivatives import landing, rate_error, slope_of
from tests.t2i.tiny import (
    LAYERS,
    Processor,
    flux3,
    flux3_on_grid,
    flux3_transformer,
    flux3_vae,
    moved,
    qwen3_vl,
    windows,
)

pytestmark = pytest.mark.filterwarnings("ignore")
TEXTS = ["a cat", "an analog clock that shows exactly a quarter to five", "a dog"]


@pytest.fixture(scope="module")
def model() -> Flux3Klein:
    return flux3()


@pytest.fixture(scope="module")
def noise() -> torch.Tensor:
    return torch.randn(3, 16, 4, 6, generator=torch.Generator().manual_seed(2))


def rows(model: Flux3Klein, *which: int) -> dict[str, torch.Tensor]:
    """What the model is told of some of the texts."""
    return {name: value[list(which)] for name, value in model.encode_prompts(TEXTS).items()}


@pytest.mark.parametrize("steps", [1, 4])
@pytest.mark.parametrize("text", [0, 1])
def test_jumps_are_the_steps_of_the_pipeline(model: Flux3Klein, noise: torch.Tensor, steps: int, text: int) -> None:
    pipeline = Flux3DistilledCoreDenoiseStep().init_pipeline()
    scheduler = FlowMatchEulerDiscreteScheduler(shift=6.93)
    pipeline.update_components(transformer=model.transformer, scheduler=scheduler)
    given = {"prompt_embeds": windows(TEXTS)[text][None], "latents": noise[:1], "num_inference_steps": steps}
    expected = pipeline(**given, height=64, width=96, batch_size=1, output="latents")  # its autoencoder divides by 16
    x = noise[:1]
    for s, t in pairwise(ShiftedGrid(math.log(6.93)).times(steps)):
        x = model.flow_map(x, torch.tensor([s]), torch.tensor([t]), rows(model, text))
    torch.testing.assert_close(x, expected, rtol=1e-5, atol=1e-5)


def test_the_shift_is_that_of_the_settings_of_the_pipeline(monkeypatch: pytest.MonkeyPatch) -> None:
    assert flux3_on_grid().grid.scheduler.config.shift == 6.93
    monkeypatch.setattr(Flux3SetTimestepsStep.__init__, "__defaults__", (2.0, 50))
    assert flux3_on_grid().grid.times(4) == pytest.approx(ShiftedGrid(math.log(2)).times(4), abs=1e-6)


def test_pictures_are_those_of_the_pipeline(model: Flux3Klein, noise: torch.Tensor) -> None:
    pipeline = Flux3DecodeStep().init_pipeline()
    pipeline.update_components(vae=model.latents.vae)
    expected = pipeline(latents=noise, output_type="pt", output="images")
    pictures = model.decode(noise)
    assert pictures.shape == (3, 3, 16, 24)
    assert torch.equal((pictures / 2 + 0.5).clamp(0, 1), expected)


def test_the_second_time_and_the_text_change_the_output(model: Flux3Klein, noise: torch.Tensor) -> None:
    s, ends = torch.tensor([0.3]), [torch.tensor([t]) for t in (0.3, 0.6, 1.0)]
    averages = [model.average(noise[:1], s, t, rows(model, 0)) for t in ends]
    assert (averages[0] - averages[1]).abs().max() > 1e-3 and (averages[1] - averages[2]).abs().max() > 1e-3
    assert (averages[0] - model.average(noise[:1], s, ends[0], rows(model, 2))).abs().max() > 1e-3


def test_a_batch_mixes_times_prompts_and_windows(model: Flux3Klein, noise: torch.Tensor) -> None:
    s, t = torch.tensor([0.0, 0.4, 0.7]), torch.tensor([0.5, 0.4, 1.0])
    together = model.flow_map(noise, s, t, rows(model, 0, 1, 2))
    assert rows(model, 0, 1, 2)["length"].tolist() == [80, 160, 80]
    for k in range(3):
        alone = model.flow_map(noise[[k]], s[[k]], t[[k]], rows(model, k))
        torch.testing.assert_close(together[[k]], alone, rtol=1e-4, atol=1e-5)


def test_gradients_reach_the_latents_through_look_ahead_and_decoder() -> None:
    """Differences of shorter width meet the rotations of queries and keys, which are float32 in any precision."""
    double = Flux3Klein(flux3_transformer().double(), flux3_vae().double(), windows, 16, 24)
    slope = slope_of(double, landing(double, rows(double, 0)))
    assert slope.off < 1e-4 and slope.gain > 0


def test_the_material_derivative_agrees_with_differences_in_time() -> None:
    """Times are multiplied by 1000 inside: a step of 1e-3 would be 15% off, and shorter ones than 1e-5 meet float32."""
    double = Flux3Klein(flux3_transformer().double(), flux3_vae().double(), windows, 16, 24)
    assert rate_error(double, landing(double, rows(double, 0)), rows(double, 0), h=3e-5) < 1e-3


def test_encoding_inverts_the_whitening_and_packing(model: Flux3Klein) -> None:
    pictures = torch.rand(2, 3, 16, 24, generator=torch.Generator().manual_seed(4)) * 2 - 1
    packed = model.encode(pictures)
    plain = model.latents.vae.encode(pictures).latent_dist.mode()
    torch.testing.assert_close(
        torch.pixel_shuffle(packed * model.latents.std + model.latents.mean, 2), plain, rtol=1e-4, atol=1e-4
    )


def test_the_engine_tilts_it_with_prompts_and_a_decoder(model: Flux3Klein) -> None:
    result = fmtt.sample(
        model, lambda pictures: -pictures.square().mean((1, 2, 3)), conditions=TEXTS[:2], mode=fmtt.modes.search,
        scale=10.0, groups=1, particles=2, steps=2,
    )  # fmt: skip
    assert result.samples.shape == (2, 2, 16, 4, 6) and result.decoded.shape == (2, 2, 3, 16, 24)
    assert torch.isfinite(result.rewards).all()


@pytest.mark.parametrize("text", ["a cat", " ".join(["a dog that shows"] * 25)])
def test_windows_of_texts_are_those_of_the_pipeline(text: str) -> None:
    encoder, processor = qwen3_vl(), Processor()
    expected = Flux3TextEncoderStep._get_qwen3_vl_prompt_embeds(encoder, processor, text, hidden_states_layers=LAYERS)
    (window,) = QwenWindows(encoder, processor, LAYERS)([text])
    assert window.shape == ((80, 32) if text == "a cat" else (160, 32))
    torch.testing.assert_close(window[None], expected)
    (other,) = QwenWindows(encoder, processor, LAYERS)([text.replace("a", "clock")])
    assert (other - window).abs().max() > 1e-3


def test_long_texts_are_cut() -> None:
    (window,) = QwenWindows(qwen3_vl(), Processor(), LAYERS, longest=90)(["a cat " * 200])
    assert len(window) == 90


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match=r"has no second time; FLUX\.3 klein is needed, not klein-base"):
        Flux3Klein(flux3_transformer(flow_map=False), flux3_vae(), windows)
    with pytest.raises(ValueError, match=r"model\.height=18, model\.width=24: must be multiples of 4"):
        Flux3Klein(flux3_transformer(), flux3_vae(), windows, 18, 24)


def on_base(guidance: float = 3.5) -> Flux3KleinOnBase:
    torch.manual_seed(7)
    base = moved(flux3_transformer(flow_map=False))
    made = Flux3KleinOnBase(flux3_transformer(), flux3_vae(), windows, 16, 24, base, guidance)
    made.grid = grid_for(made)
    return made


@pytest.mark.parametrize("text", [0, 1])
def test_steps_by_klein_base_are_those_of_the_pipeline(noise: torch.Tensor, text: int) -> None:
    model, asked = on_base(), [windows([said])[0][None] for said in (TEXTS[text], "")]
    pipeline = Flux3CoreDenoiseStep().init_pipeline()
    scheduler = FlowMatchEulerDiscreteScheduler(shift=6.93)
    guider = ClassifierFreeGuidance(guidance_scale=3.5)
    pipeline.update_components(transformer=model.base, scheduler=scheduler, guider=guider)
    given = {"prompt_embeds": asked[0], "negative_prompt_embeds": asked[1], "latents": noise[:1]}
    expected = pipeline(**given, num_inference_steps=4, height=64, width=96, batch_size=1, output="latents")
    x = noise[:1]
    for s, t in pairwise(ShiftedGrid(math.log(6.93)).times(4)):
        x = x + (t - s) * model.velocity(x, torch.tensor([s]), rows(model, text))
    torch.testing.assert_close(x, expected, rtol=1e-4, atol=1e-4)


def test_the_velocity_of_klein_base_counts_twice_and_leaves_the_map_as_it_is(
    model: Flux3Klein, noise: torch.Tensor
) -> None:
    both, s, one = on_base(), torch.tensor([0.0, 0.4, 0.7]), torch.ones(3)
    assert as_flow(both).evaluations == Evaluations(velocity=2, flow_map=1)
    assert as_flow(on_base(1.0)).evaluations == Evaluations()
    landed = both.flow_map(noise, s, one, rows(both, 0, 1, 2))
    assert torch.equal(landed, model.flow_map(noise, s, one, rows(model, 0, 1, 2)))
    together = both.velocity(noise, s, rows(both, 0, 1, 2))
    for k in range(3):
        alone = both.velocity(noise[[k]], s[[k]], rows(both, k))
        torch.testing.assert_close(together[[k]], alone, rtol=1e-4, atol=1e-5)
    assert (together - on_base(1.0).velocity(noise, s, rows(both, 0, 1, 2))).abs().max() > 1e-2
    assert (together - model.velocity(noise, s, rows(model, 0, 1, 2))).abs().max() > 1e-2


def test_klein_base_is_another_network() -> None:
    with pytest.raises(ValueError, match=r"model\.base: has a second time; klein-base is needed, not FLUX\.3 klein"):
        Flux3KleinOnBase(flux3_transformer(), flux3_vae(), windows, 16, 24, flux3_transformer())


def test_folders_of_klein_and_klein_base_are_a_model(klein: str, tmp_path: Path) -> None:
    flux3_transformer(flow_map=False).save_pretrained(tmp_path / "transformer")
    model = load_flux3_klein(klein, str(tmp_path), height=16, width=24).to(torch.device("cpu"), torch.float32)
    assert isinstance(model, Flux3KleinOnBase)
    condition, noise = model.encode_prompts(["a cat"]), torch.zeros(1, 16, 4, 6)
    assert model.velocity(noise, torch.tensor([0.3]), condition).shape == noise.shape
    with pytest.raises(ValueError, match=r"model\.base=nowhere: the transformer is not on this machine"):
        load_flux3_klein(klein, "nowhere", height=16, width=24)


def test_a_guidance_of_zero_is_taken_as_it_is(klein: str, tmp_path: Path) -> None:
    flux3_transformer(flow_map=False).save_pretrained(tmp_path / "transformer")
    scales = {None: 3.5, 0.0: 0.0, 2.0: 2.0}
    for guidance, expected in scales.items():
        assert load_flux3_klein(klein, str(tmp_path), guidance, height=16, width=24).guidance == expected
