"""One-step generators: what the pipelines of diffusers make, and which methods can use a model without a velocity."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from diffusers import EulerDiscreteScheduler, StableDiffusionPipeline, StableDiffusionXLPipeline
from torch import Tensor
from transformers import CLIPTextModelWithProjection

from fmtt.models.t2i.generator import Generator, load_generator
from fmtt.models.t2i.noise_network import TEXT, NoiseNetwork, levels_of
from tests.command import Outcome
from tests.t2i.derivatives import landing, slope_of
from tests.t2i.tiny_unet import POOLED, save, scheduler, text_config, told, unet, vae

pytestmark = pytest.mark.filterwarnings("ignore")
TEXTS = ["a cat", "a clock", "a dog"]


def generator(large: bool = False) -> Generator:
    return Generator(NoiseNetwork(unet(large), levels_of(scheduler())), vae(), told(large), 16, 24)


def rows(model: Generator, *which: int) -> dict[str, Tensor]:
    return {name: value[list(which)] for name, value in model.encode_prompts(TEXTS).items()}


@pytest.fixture(scope="module")
def noise() -> Tensor:
    return torch.randn(3, 4, 8, 12, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("steps", [1, 4])
@pytest.mark.parametrize("large", [False, True])
def test_jumps_are_the_steps_of_the_pipeline(noise: Tensor, large: bool, steps: int) -> None:
    model, schedule = generator(large), scheduler()
    parts = {"text_encoder": None, "tokenizer": None}
    if large:
        pipeline = StableDiffusionXLPipeline(
            model.latents.vae,
            **parts,
            text_encoder_2=None,
            tokenizer_2=None,
            unet=model.network.unet,
            scheduler=schedule,
        )
        pipeline.text_encoder_2 = CLIPTextModelWithProjection(text_config(POOLED))
        given = {"pooled_prompt_embeds": rows(model, 0)["text_embeds"]}
    else:
        pipeline = StableDiffusionPipeline(
            model.latents.vae, **parts, unet=model.network.unet, scheduler=schedule, safety_checker=None,
            feature_extractor=None, requires_safety_checker=False,
        )  # fmt: skip
        given = {}
    pipeline.set_progress_bar_config(disable=True)
    expected = pipeline(
        prompt_embeds=rows(model, 0)[TEXT], latents=noise[:1].clone(), num_inference_steps=steps, guidance_scale=0.0,
        height=16, width=24, output_type="latent", **given,
    ).images  # fmt: skip
    schedule.set_timesteps(steps)
    times = [0.0, *(1 / (1 + sigma.item()) for sigma in schedule.sigmas[1:])]
    x = noise[:1]
    for s, t in pairwise(times):
        x = model.flow_map(x, torch.tensor([s]), torch.tensor([t]), rows(model, 0))
    torch.testing.assert_close(x, expected, rtol=1e-3, atol=1e-4)


def test_a_batch_mixes_times_and_prompts(noise: Tensor) -> None:
    model = generator(large=True)
    s, t = torch.tensor([0.0, 0.4, 0.7]), torch.tensor([1.0, 0.4, 0.9])
    together = model.flow_map(noise, s, t, rows(model, 0, 1, 2))
    for k in range(3):
        alone = model.flow_map(noise[[k]], s[[k]], t[[k]], rows(model, k))
        torch.testing.assert_close(together[[k]], alone, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(together[1], noise[1], rtol=1e-4, atol=1e-4)  # X_{t,t} is the identity
    ends = [model.flow_map(noise[:1], torch.tensor([s]), torch.ones(1), rows(model, 0)) for s in (0.2, 0.5)]
    assert (ends[0] - ends[1]).abs().max() > 1e-2
    one = torch.ones(1)
    assert torch.equal(model.flow_map(noise[:1], one, one, rows(model, 0)), noise[:1])


def test_gradients_reach_the_noise() -> None:
    model = generator()
    for part in (model.network.unet, model.latents.vae):
        part.double()
    slope = slope_of(model, landing(model, rows(model, 0)), at=0.2)
    assert slope.off < 1e-4 and slope.gain > 0


@pytest.mark.parametrize("large", [False, True])
def test_a_folder_is_a_model_that_encodes_as_its_pipeline(tmp_path: Path, large: bool) -> None:
    folder = save(tmp_path, large)
    model = load_generator(folder, 16, 24)
    kind = StableDiffusionXLPipeline if large else StableDiffusionPipeline
    pipeline = kind.from_pretrained(folder)
    expected = pipeline.encode_prompt(["a cat"], "cpu", num_images_per_prompt=1, do_classifier_free_guidance=False) \
        if not large else pipeline.encode_prompt("a cat", device="cpu", do_classifier_free_guidance=False)  # fmt: skip
    found = model.encode_prompts(["a cat", "a dog"])
    torch.testing.assert_close(found[TEXT][:1], expected[0])
    if large:
        torch.testing.assert_close(found["text_embeds"][:1], expected[2])
        assert found["time_ids"][0].tolist() == [16, 24, 0, 0, 16, 24]
    assert (found[TEXT][0] - found[TEXT][1]).abs().max() > 1e-3
    assert torch.is_grad_enabled()


def test_other_pipelines_and_predictions_are_refused(tmp_path: Path) -> None:
    folder = save(tmp_path, False)
    EulerDiscreteScheduler(prediction_type="v_prediction").save_pretrained(tmp_path / "scheduler")
    with pytest.raises(ValueError, match="predicts v_prediction, must be epsilon"):
        load_generator(folder, 16, 24)
    with pytest.raises(ValueError, match=r"model\.height=15, model\.width=24: must be multiples of 2"):
        Generator(NoiseNetwork(unet(False), levels_of(scheduler())), vae(), told(False), 15, 24)


@pytest.mark.parametrize("mode", ["noise_opt", "noise_smc", "best_of_n", "multi_best_of_n", "auto"])
def test_methods_without_a_velocity_use_it(fmtt: Callable[..., Outcome], tmp_path: Path, mode: str) -> None:
    done = fmtt(*words(save(tmp_path / "turbo", False)), f"mode={mode}", "lookahead=flowmap1", small=False)
    assert done.status == 0, done.err
    assert done.metrics["nfe/forward"] > 0 and done.metrics["reward/base_mean"] < 0


@pytest.mark.parametrize(
    ("choice", "user"),
    [(("mode=search",), "this mode"), (("mode=best_of_n", "lookahead=denoiser"), "lookahead=denoiser"),
     (("mode=noise_opt", "lookahead=diffusion4"), "lookahead=diffusion4"),
     (("mode=best_of_n", "sampler/transport=glass"), "sampler.transport=glass")],
)  # fmt: skip
def test_others_are_refused_in_one_line(
    fmtt: Callable[..., Outcome], tmp_path: Path, choice: tuple[str, ...], user: str
) -> None:
    done = fmtt(*words(save(tmp_path / "turbo", False)), "lookahead=flowmap1", *choice, small=False)
    assert done.status == 2
    (line,) = [line for line in done.complaint.splitlines() if line.startswith("fmtt:")]
    assert line.startswith(f"fmtt: {user} needs a velocity, and the model is a generator without one; use ")


def words(folder: str) -> list[str]:
    return [
        "model=generator", f"model.repository={folder}", "model.height=16", "model.width=24", "reward=symmetry",
        'prompt="a cat"', "population.groups=1", "population.particles=2", "sampler.steps=2",
    ]  # fmt: skip
