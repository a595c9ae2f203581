"""FLUX.1: velocities as the pipeline of diffusers steps by them, and a flow map of two times."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler, FluxPipeline
from diffusers.pipelines.flux.pipeline_flux import calculate_shift

import fmtt
from fmtt.flow.protocols import as_flow
from fmtt.flow.schedules import PowerGrid, ShiftedGrid
from fmtt.models.t2i.flux import (
    ClipAndT5,
    FluxFlowMap,
    FluxVelocity,
    Told,
    load_flux,
    load_flux_schnell,
    with_two_times,
)
from fmtt.models.t2i.flux_ahead import FluxAhead, load_flux_ahead
from fmtt.models.t2i.grids import SchedulerGrid, by_tokens
from tests.t2i.derivatives import landing, slope_of
from tests.t2i.tiny import clip_and_t5, flux_transformer, flux_vae, moved, plain_tokenizer, scheduler, told
from tests.t2i.tiny_folders import lora_file

pytestmark = pytest.mark.filterwarnings("ignore")
TEXTS = ["a cat", "an analog clock", "a dog"]


def noise() -> torch.Tensor:
    return torch.randn(3, 4, 8, 12, generator=torch.Generator().manual_seed(2))


def rows(model: FluxVelocity | FluxFlowMap, *which: int) -> dict[str, torch.Tensor]:
    return {name: value[list(which)] for name, value in model.encode_prompts(TEXTS).items()}


@pytest.mark.parametrize("dev", [True, False], ids=["dev", "schnell"])
def test_steps_and_pictures_are_those_of_the_pipeline(dev: bool) -> None:
    model = FluxVelocity(flux_transformer(dev), flux_vae(), told, 16, 24, guidance=2.5)
    own = FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=dev)
    parts = {"text_encoder": None, "tokenizer": None, "text_encoder_2": None, "tokenizer_2": None}
    pipeline = FluxPipeline(own, vae=model.latents.vae, transformer=model.transformer, **parts)
    pipeline.set_progress_bar_config(disable=True)
    start = noise()[:1]
    packed = FluxPipeline._pack_latents(start, 1, 4, 8, 12)
    given = {"prompt_embeds": told(TEXTS).words[:1], "pooled_prompt_embeds": told(TEXTS).pooled[:1], "latents": packed}
    size = {"height": 16, "width": 24, "num_inference_steps": 4, "guidance_scale": 2.5}
    expected = pipeline(**given, **size, output_type="pt").images
    mu = calculate_shift(packed.shape[1], 256, 4096, 0.5, 1.15)
    x = start
    for s, t in pairwise((ShiftedGrid(mu) if dev else PowerGrid()).times(4)):
        x = x + (t - s) * model.velocity(x, torch.tensor([s]), rows(model, 0))
    torch.testing.assert_close((model.decode(x) / 2 + 0.5).clamp(0, 1), expected, rtol=1e-4, atol=1e-4)


def flow_map() -> FluxFlowMap:
    """A flow map whose second embedding is not the first one, as after loading."""
    transformer = with_two_times(flux_transformer())
    with torch.no_grad():
        for parameter in transformer.time_text_embed.second_embedder.timestep_embedder.parameters():
            parameter.mul_(1.3)
    return FluxFlowMap(transformer, flux_vae(), told, 16, 24)


def test_a_fresh_second_time_leaves_the_velocity_as_it_was() -> None:
    plain = FluxVelocity(flux_transformer(), flux_vae(), told, 16, 24)
    fresh = FluxFlowMap(with_two_times(flux_transformer()), flux_vae(), told, 16, 24)
    t = torch.tensor([0.1, 0.5, 0.9])
    expected = plain.velocity(noise(), t, rows(plain, 0, 1, 2))
    assert torch.equal(fresh.velocity(noise(), t, rows(fresh, 0, 1, 2)), expected)
    one_time = FluxVelocity(fresh.transformer, flux_vae(), told, 16, 24)
    assert torch.equal(one_time.velocity(noise(), t, rows(plain, 0, 1, 2)), expected)


def test_the_names_of_the_second_time_are_those_of_the_published_lora() -> None:
    names = {name for name, _ in with_two_times(flux_transformer()).named_modules()}
    for part in ("original", "second"):
        for layer in (1, 2):
            assert f"time_text_embed.{part}_embedder.timestep_embedder.linear_{layer}" in names


DYNAMIC = {"use_dynamic_shifting": True}


def looped(model: FluxFlowMap, noisy: torch.Tensor, steps: int) -> torch.Tensor:
    """As the code beside the LoRA samples: ``timestep = stack([sigma, next])`` on packed latents, steps of Euler."""
    own, words = FlowMatchEulerDiscreteScheduler(**DYNAMIC), told(["a cat"])
    levels = torch.linspace(1, 1 / steps, steps).tolist()
    own.set_timesteps(sigmas=levels, mu=calculate_shift(24, 256, 4096, 0.5, 1.15))
    packed = FluxPipeline._pack_latents(noisy, 1, 4, 8, 12)
    ids = FluxPipeline._prepare_latent_image_ids(1, 4, 6, "cpu", torch.float32)
    for sigma, after in pairwise(own.sigmas):
        made = model.transformer(
            hidden_states=packed, timestep=torch.stack([sigma, after])[None], guidance=torch.tensor([3.5]),
            pooled_projections=words.pooled, encoder_hidden_states=words.words,
            txt_ids=torch.zeros(words.words.shape[1], 3), img_ids=ids,
        ).sample  # fmt: skip
        packed = packed + (after - sigma) * made
    return FluxPipeline._unpack_latents(packed, 8, 12, 1)


def test_jumps_are_those_of_a_loop_that_tells_the_transformer_both_levels() -> None:
    model, noisy = flow_map(), noise()[:1]
    x = noisy
    for s, t in pairwise(SchedulerGrid(FlowMatchEulerDiscreteScheduler(**DYNAMIC), 24, by_tokens).times(4)):
        x = model.flow_map(x, torch.tensor([s]), torch.tensor([t]), rows(model, 0))
    torch.testing.assert_close(x, looped(model, noisy, 4), rtol=1e-4, atol=1e-4)
    plain = FluxVelocity(flux_transformer(), flux_vae(), told, 16, 24)
    assert (x - noisy - plain.velocity(noisy, torch.zeros(1), rows(plain, 0))).abs().max() > 1e-2


def test_a_batch_mixes_times_and_prompts() -> None:
    model, s, t = flow_map(), torch.tensor([0.0, 0.4, 0.7]), torch.tensor([0.5, 0.4, 1.0])
    together = model.flow_map(noise(), s, t, rows(model, 0, 1, 2))
    for k in range(3):
        alone = model.flow_map(noise()[[k]], s[[k]], t[[k]], rows(model, k))
        torch.testing.assert_close(together[[k]], alone, rtol=1e-4, atol=1e-5)
    other = model.average(noise()[:1], s[:1], t[2:], rows(model, 0))
    assert (other - model.average(noise()[:1], s[:1], t[:1], rows(model, 0))).abs().max() > 1e-3


def test_gradients_reach_the_latents_through_look_ahead_and_decoder() -> None:
    model = flow_map()
    model.transformer.double()
    model.latents.vae.double()
    slope = slope_of(model, landing(model, rows(model, 0)))
    assert slope.off < 1e-4 and slope.gain > 0


def test_encoding_inverts_the_scale_of_the_latents() -> None:
    model = flow_map()
    pictures = torch.rand(2, 3, 16, 24, generator=torch.Generator().manual_seed(4)) * 2 - 1
    plain = model.latents.vae.encode(pictures).latent_dist.mode()
    torch.testing.assert_close(model.encode(pictures) / 0.36 + 0.12, plain, rtol=1e-4, atol=1e-5)


def test_a_size_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match=r"model\.height=18, model\.width=24: must be multiples of 4"):
        FluxVelocity(flux_transformer(), flux_vae(), told, 18, 24)


def test_texts_are_encoded_as_by_the_pipeline() -> None:
    clip, t5 = clip_and_t5()
    encoder = ClipAndT5(clip, plain_tokenizer(20), t5, plain_tokenizer(40), longest=12)
    tokenizers = {"tokenizer": plain_tokenizer(20), "tokenizer_2": plain_tokenizer(40)}
    parts = {"text_encoder": clip, "text_encoder_2": t5, **tokenizers}
    pipeline = FluxPipeline(FlowMatchEulerDiscreteScheduler(), vae=flux_vae(), transformer=None, **parts)
    texts = ["a cat", "a dog that shows a clock a dog that shows a clock a cat a dog"]
    words, pooled, _ = pipeline.encode_prompt(texts, max_sequence_length=12)
    found = encoder(texts)
    torch.testing.assert_close(found.words, words)
    torch.testing.assert_close(found.pooled, pooled)
    assert found.words.shape == (2, 12, 32) and found.pooled.shape == (2, 24)


def test_a_folder_is_a_model(tmp_path: Path) -> None:
    clip, t5 = clip_and_t5()
    parts = {"transformer": flux_transformer(), "vae": flux_vae(), "text_encoder": clip, "text_encoder_2": t5,
             "tokenizer": plain_tokenizer(20), "tokenizer_2": plain_tokenizer(40),
             "scheduler": scheduler()}  # fmt: skip
    for name, part in parts.items():
        part.save_pretrained(tmp_path / name)
    schnell = load_flux_schnell(str(tmp_path), 16, 24).to(torch.device("cpu"), torch.float32)
    assert schnell.grid.times(4) == SchedulerGrid(scheduler(), 24, by_tokens).times(4)
    told_of = schnell.encode_prompts(["a cat", "a dog"])
    assert told_of["words"].shape == (2, 256, 32)
    assert schnell.velocity(noise()[:2], torch.full((2,), 0.3), told_of).shape == (2, 4, 8, 12)
    with pytest.raises(ValueError, match=r"model\.lora=nowhere: there is no such file"):
        load_flux("nowhere", str(tmp_path), 16, 24)
    text = tmp_path / "text.safetensors"
    text.write_text("no weights")
    with pytest.raises(ValueError, match=r"model\.lora=.*text\.safetensors: is not a safetensors file"):
        load_flux(str(text), str(tmp_path), 16, 24)
    style = lora_file(tmp_path / "style.safetensors", flux_transformer(), "transformer.")
    with pytest.raises(ValueError, match=r"model\.lora=.*style.*: has no weights for the second time"):
        load_flux(style, str(tmp_path), 16, 24)


def short(texts: Sequence[str]) -> Told:
    """What schnell is told: shorter texts than dev is."""
    return Told(told(texts).words[:, :6], 0.5 * told(texts).pooled)


def dev_ahead() -> FluxAhead:
    torch.manual_seed(6)
    schnell = FluxVelocity(moved(flux_transformer(guidance=False)), flux_vae(), short, 16, 24)
    return FluxAhead(FluxVelocity(flux_transformer(), flux_vae(), told, 16, 24, 2.5), schnell)


def test_dev_moves_and_schnell_looks_ahead() -> None:
    model, s = dev_ahead(), torch.tensor([0.0, 0.4, 0.7])
    dev = FluxVelocity(flux_transformer(), flux_vae(), told, 16, 24, guidance=2.5)
    assert torch.equal(model.velocity(noise(), s, rows(model, 0, 1, 2)), dev.velocity(noise(), s, rows(dev, 0, 1, 2)))
    guess = model.flow_map(noise(), s, torch.ones(3), rows(model, 0, 1, 2))
    sigma, texts = (1 - s)[:, None, None, None], rows(model.ahead, 0, 1, 2)
    output = model.ahead.predict(noise(), 1 - s, texts)
    torch.testing.assert_close(guess, noise() - sigma * output)
    assert texts["words"].shape[1] == 6 and as_flow(model).data_only
    own = noise() + sigma * model.velocity(noise(), s, rows(model, 0, 1, 2))
    assert (guess - own).abs().max() > 1e-2


def test_folders_of_dev_and_schnell_are_a_model(tmp_path: Path) -> None:
    clip, t5 = clip_and_t5()
    parts = {"vae": flux_vae(), "text_encoder": clip, "text_encoder_2": t5, "tokenizer": plain_tokenizer(20),
             "tokenizer_2": plain_tokenizer(40), "scheduler": scheduler()}  # fmt: skip
    for name, guidance in {"dev": True, "schnell": False}.items():
        for folder, part in {**parts, "transformer": flux_transformer(guidance)}.items():
            part.save_pretrained(tmp_path / name / folder)
    model = load_flux_ahead(str(tmp_path / "dev"), str(tmp_path / "schnell"), 16, 24)
    assert model.grid.tokens == 24 and model.grid.times(4)[1] < 0.2, "its steps lie where the scheduler puts them"
    result = fmtt.sample(
        model.to(torch.device("cpu"), torch.float32), lambda pictures: -pictures.square().mean((1, 2, 3)),
        conditions=["a cat", "a dog"], mode=fmtt.modes.search, scale=10.0, groups=1, particles=2, steps=3,
    )  # fmt: skip
    assert torch.isfinite(result.rewards).all() and result.meter.backward > 0
    with pytest.raises(ValueError, match=r"model\.ahead=nowhere: the transformer is not on this machine"):
        load_flux_ahead(str(tmp_path / "dev"), "nowhere", 16, 24)
