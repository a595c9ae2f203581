"""SDXL with the LCM-LoRA: both pipelines of diffusers, on the linear path."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from diffusers import LCMScheduler, StableDiffusionXLPipeline
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from safetensors.torch import load_file
from torch import Tensor
from transformers import CLIPTextModelWithProjection

from fmtt import Denoiser, assemble, modes
from fmtt.flow.protocols import Evaluations, as_flow
from fmtt.flow.schedules import ZeroEpsilon
from fmtt.models.t2i.grids import NoiseLevelGrid
from fmtt.models.t2i.noise_network import POOLED as POOLED_NAME
from fmtt.models.t2i.noise_network import TEXT, NoiseNetwork, levels_of
from fmtt.models.t2i.one_time import NEGATIVE
from fmtt.models.t2i.sdxl_lcm import SdxlLcm, load_sdxl_lcm, with_lora
from tests.command import Outcome
from tests.t2i.derivatives import landing, rate_error, slope_of
from tests.t2i.tiny_unet import POOLED, published_scheduler, save, scheduler, text_config, told, unet, vae

pytestmark = pytest.mark.filterwarnings("ignore")
TEXTS = ["a cat", "a clock", "a dog"]
GUIDANCE = 3.0
TARGETS = ["to_q", "to_k", "to_v", "to_out.0"]


def both(texts: list[str]) -> dict[str, Tensor]:
    positive, negative = told(True)(texts), told(True)(["nothing at all"] * len(texts))
    return positive | {NEGATIVE + name: value for name, value in negative.items()}


def other_unet() -> torch.nn.Module:
    """With other weights, as the student has."""
    torch.manual_seed(9)
    net = unet(True)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(1 + 0.1 * torch.randn_like(parameter))
    return net


@pytest.fixture(scope="module")
def model() -> SdxlLcm:
    networks = (NoiseNetwork(net, levels_of(scheduler())) for net in (unet(True), other_unet()))
    return SdxlLcm(*networks, vae(), both, 16, 24, GUIDANCE)


@pytest.fixture(scope="module")
def noise() -> Tensor:
    return torch.randn(3, 4, 8, 12, generator=torch.Generator().manual_seed(2))


def rows(model: SdxlLcm, *which: int) -> dict[str, Tensor]:
    return {name: value[list(which)] for name, value in model.encode_prompts(TEXTS).items()}


def pipeline_of(model: SdxlLcm, net: torch.nn.Module, schedule: object) -> StableDiffusionXLPipeline:
    parts = dict.fromkeys(("text_encoder", "tokenizer", "text_encoder_2", "tokenizer_2"))
    pipeline = StableDiffusionXLPipeline(model.latents.vae, **parts, unet=net, scheduler=schedule)
    pipeline.text_encoder_2 = CLIPTextModelWithProjection(text_config(POOLED))
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@pytest.mark.parametrize("steps", [1, 3, 7])
def test_a_run_gives_the_latents_of_the_guided_pipeline(tmp_path: Path, steps: int) -> None:
    """A step in sigma is linear in x / t; ours is linear in x, so that it is taken on the same line."""
    model = saved(tmp_path)
    row, schedule = model.encode_prompts(TEXTS[:1]), scheduler()
    run = assemble(
        model, lambda seen: seen.mean((1, 2, 3)), mode=modes.base, conditions=TEXTS[:1], steps=steps, groups=1,
        particles=1, epsilon=ZeroEpsilon(), look_ahead=Denoiser,
    )  # fmt: skip
    start = run.loop.start()[0].population.x[0]
    assert run.problem.times[0] == pytest.approx(1 / (1 + schedule.sigmas.max().item()))
    expected = pipeline_of(model, model.base.unet, schedule)(
        prompt_embeds=row[TEXT], negative_prompt_embeds=row[NEGATIVE + TEXT],
        pooled_prompt_embeds=row[POOLED_NAME], negative_pooled_prompt_embeds=row[NEGATIVE + POOLED_NAME],
        latents=start / (1 - run.problem.times[0]), num_inference_steps=steps, guidance_scale=GUIDANCE, height=16,
        width=24, output_type="latent",
    ).images  # fmt: skip
    with torch.no_grad():
        found = run.loop.last().population.x[0]
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)
    assert (found - start).abs().max() > 0.1


def test_landings_are_those_of_the_lcm_pipeline(model: SdxlLcm, noise: Tensor) -> None:
    betas = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
    schedule, row = LCMScheduler(**betas, original_inference_steps=50), rows(model, 0)
    expected = pipeline_of(model, model.student.unet, schedule)(
        prompt_embeds=row[TEXT], pooled_prompt_embeds=row[POOLED_NAME], latents=noise[:1].clone(),
        num_inference_steps=1, guidance_scale=1.0, height=16, width=24, output_type="latent",
    ).images  # fmt: skip
    kept = schedule.alphas_cumprod[schedule.timesteps[0]].item()
    alpha, sigma = kept**0.5, (1 - kept) ** 0.5
    t = torch.tensor([alpha / (alpha + sigma)])
    landing = model.flow_map(noise[:1] / (alpha + sigma), t, torch.ones(1), row)
    torch.testing.assert_close(landing, expected, rtol=1e-3, atol=1e-4)


def test_the_velocity_counts_twice_and_the_map_once(model: SdxlLcm) -> None:
    assert as_flow(model).evaluations == Evaluations(velocity=2, flow_map=1)


def test_a_batch_mixes_times_and_prompts(model: SdxlLcm, noise: Tensor) -> None:
    s, one = torch.tensor([0.0, 0.4, 0.7]), torch.ones(3)
    together = model.flow_map(noise, s, one, rows(model, 0, 1, 2)), model.velocity(noise, s, rows(model, 0, 1, 2))
    for k in range(3):
        alone = (
            model.flow_map(noise[[k]], s[[k]], one[[k]], rows(model, k)),
            model.velocity(noise[[k]], s[[k]], rows(model, k)),
        )
        for whole, part in zip(together, alone, strict=True):
            torch.testing.assert_close(whole[[k]], part, rtol=1e-3, atol=1e-3)
    assert as_flow(model).data_only


def test_gradients_and_the_material_derivative() -> None:
    """Shorter differences in time meet the float32 of the sines of times."""
    networks = (NoiseNetwork(net.double(), levels_of(scheduler())) for net in (unet(True), other_unet()))
    double = SdxlLcm(*networks, vae().double(), both, 16, 24, GUIDANCE)
    slope = slope_of(double, landing(double, rows(double, 0)))
    assert slope.off < 1e-4 and slope.gain > 0
    assert rate_error(double, landing(double, rows(double, 0)), rows(double, 0)) < 1e-2


def lora() -> dict[str, Tensor]:
    """A LoRA of the tiny network in the names of diffusers, and what it makes of the network."""
    net = unet(True)
    net.add_adapter(LoraConfig(r=2, lora_alpha=2, target_modules=TARGETS, init_lora_weights=False))
    return {f"unet.{name}": value.clone() for name, value in get_peft_model_state_dict(net).items()}


def saved(folder: Path) -> SdxlLcm:
    """The tiny model, loaded from files with the LoRA."""
    repository = save(folder / "sdxl", True)
    layers = {name.removeprefix("unet."): value for name, value in lora().items()}
    StableDiffusionXLPipeline.save_lora_weights(folder, unet_lora_layers=layers)
    return load_sdxl_lcm(str(folder / "pytorch_lora_weights.safetensors"), repository, 16, 24, GUIDANCE)


def test_the_lora_makes_the_student(tmp_path: Path) -> None:
    folder = save(tmp_path / "sdxl", True)
    StableDiffusionXLPipeline.save_lora_weights(
        tmp_path, unet_lora_layers={name.removeprefix("unet."): value for name, value in lora().items()}
    )
    path = tmp_path / "pytorch_lora_weights.safetensors"
    model = load_sdxl_lcm(str(path), folder, 16, 24)
    expected = StableDiffusionXLPipeline.from_pretrained(folder)
    expected.load_lora_weights(str(path))
    expected.fuse_lora()
    expected.unload_lora_weights()
    changed = 0
    plain, tuned = (dict(net.named_parameters()) for net in (model.base.unet, model.student.unet))
    for name, value in expected.unet.named_parameters():
        torch.testing.assert_close(tuned[name], value)
        changed += not torch.equal(plain[name], value)
    assert changed == sum(any(target in name for target in TARGETS) and name.endswith("weight") for name in plain)
    found, one = model.encode_prompts(["a cat"]), expected.encode_prompt("a cat", device="cpu")
    torch.testing.assert_close(found[TEXT], one[0])
    torch.testing.assert_close(found[NEGATIVE + POOLED_NAME], one[3])
    assert found["negative_time_ids"].tolist() == [[16, 24, 0, 0, 16, 24]]
    assert torch.is_grad_enabled() and load_file(path).keys() == lora().keys()


def test_a_lora_of_another_network_is_refused() -> None:
    foreign = {name.replace("to_q", "to_elsewhere"): value for name, value in lora().items()}
    line = r"model\.lora=it: 16 of 64 keys belong to no part of UNet2DConditionModel: unet\..*\.to_elsewhere\.lora_A"
    with pytest.raises(ValueError, match=line):
        with_lora(unet(True), foreign, "it")
    nothing = {name: 0 * value if "lora_B" in name else value for name, value in lora().items()}
    with pytest.raises(ValueError, match=r"model\.lora=it: changes nothing"):
        with_lora(unet(True), nothing, "it")


def test_a_search_from_the_command_line(fmtt: Callable[..., Outcome], tmp_path: Path) -> None:
    folder = save(tmp_path / "sdxl", True)
    StableDiffusionXLPipeline.save_lora_weights(
        tmp_path, unet_lora_layers={name.removeprefix("unet."): value for name, value in lora().items()}
    )
    done = fmtt(
        "model=sdxl_lcm", f"model.repository={folder}", "model.height=16", "model.width=24",
        f"model.lora={tmp_path / 'pytorch_lora_weights.safetensors'}", "lookahead=flowmap1", "mode=search",
        "reward=symmetry", 'prompt="a cat"', "population.groups=1", "population.particles=2", "sampler.steps=3",
        small=False,
    )  # fmt: skip
    assert done.status == 0, done.err
    assert done.metrics["nfe/backward"] > 0


def test_its_grid_has_as_many_steps_as_are_wanted() -> None:
    grid = NoiseLevelGrid.of(published_scheduler())
    assert grid.first_time == pytest.approx(1 / (1 + levels_of(scheduler()).max().item()))
    for steps in range(1, 1001):
        times = grid.times(steps)
        assert len(times) == steps + 1 and (times[0], times[-1]) == (0, 1)
        assert all(now < then for now, then in pairwise(times)), steps


def test_a_network_that_predicts_something_else_is_refused(tmp_path: Path) -> None:
    saved(tmp_path)
    path = tmp_path / "sdxl" / "scheduler" / "scheduler_config.json"
    path.write_text(path.read_text().replace('"epsilon"', '"v_prediction"'))
    with pytest.raises(ValueError, match="predicts v_prediction, must be epsilon"):
        load_sdxl_lcm(str(tmp_path / "pytorch_lora_weights.safetensors"), str(tmp_path / "sdxl"), 16, 24)
