"""Models have the time grids of their pipelines, and a run without a grid of its own uses them."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler, FluxPipeline
from diffusers.pipelines.flux.pipeline_flux import calculate_shift, retrieve_timesteps
from diffusers.pipelines.flux2.pipeline_flux2 import compute_empirical_mu

import fmtt
from fmtt.flow.protocols import Velocity
from fmtt.flow.schedules import Grid, PowerGrid, ZeroEpsilon
from fmtt.models.t2i.flux import FluxVelocity
from fmtt.models.t2i.grids import Mu, SchedulerGrid, by_tokens, by_tokens_and_steps, grid_of
from fmtt.models.t2i.weights import Published
from fmtt.step.transport import Euler, FlowMapTransport, Transport
from tests.t2i.tiny import flux3, flux_transformer, flux_vae, told

pytestmark = pytest.mark.filterwarnings("ignore")
STEPS = 6
DYNAMIC = {"use_dynamic_shifting": True}
QWEN = DYNAMIC | {"max_shift": 0.9, "max_image_seq_len": 8192, "shift_terminal": 0.02}  # ends before noise level 0
SCHEDULES: dict[str, tuple[dict, Mu, Callable[[int], float] | None]] = {
    "static": ({"shift": 3.0}, by_tokens, None),
    "flux": (DYNAMIC, by_tokens, lambda tokens: calculate_shift(tokens, 256, 4096, 0.5, 1.15)),
    "qwen": (QWEN, by_tokens, lambda tokens: calculate_shift(tokens, 256, 8192, 0.5, 0.9)),
    "flux2": (DYNAMIC, by_tokens_and_steps, lambda tokens: compute_empirical_mu(tokens, STEPS)),
}


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("tokens", [256, 1024])
def test_times_are_those_of_the_pipeline(name: str, tokens: int, tmp_path: Path) -> None:
    settings, mu, expected = SCHEDULES[name]
    scheduler = FlowMatchEulerDiscreteScheduler(**settings)
    scheduler.save_pretrained(tmp_path / "scheduler")
    levels = torch.linspace(1, 1 / STEPS, STEPS).tolist()
    retrieve_timesteps(scheduler, sigmas=levels, **({} if expected is None else {"mu": expected(tokens)}))
    weights = Published(str(tmp_path), "a licence", gated=False, download=False)
    times = grid_of(weights, tokens, mu).times(STEPS)
    assert len(times) == STEPS + 1 and times[0] == 0 and times[-1] == 1
    torch.testing.assert_close(1 - torch.tensor(times), scheduler.sigmas, rtol=1e-6, atol=1e-6)
    assert max(abs(a - b) for a, b in zip(times, PowerGrid().times(STEPS), strict=True)) > 0.05, "not uniform"


def test_a_repository_without_a_scheduler_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has no scheduler that can be read"):
        grid_of(Published(str(tmp_path), "a licence", gated=False, download=False), 256)


def base(model: Velocity, transport: Callable[[Velocity], Transport] = Euler, grid: Grid | None = None) -> fmtt.Run:
    return fmtt.assemble(
        model, lambda seen: seen.mean((1, 2, 3)), mode=fmtt.modes.base, conditions=["a cat"], steps=4, groups=1,
        particles=1, epsilon=ZeroEpsilon(), transport=transport, look_ahead=fmtt.Denoiser, grid=grid,
    )  # fmt: skip


def test_a_run_of_the_base_model_gives_the_picture_of_the_pipeline() -> None:
    model = FluxVelocity(flux_transformer(), flux_vae(), told, 16, 24, guidance=2.5)
    model.grid = SchedulerGrid(FlowMatchEulerDiscreteScheduler(**DYNAMIC), model.tokens, by_tokens)
    run = base(model)
    with torch.no_grad():
        noise = run.loop.start()[0].population.x[0]
        result = fmtt.finish(run, run.loop.last())
    parts = {"text_encoder": None, "tokenizer": None, "text_encoder_2": None, "tokenizer_2": None}
    scheduler = FlowMatchEulerDiscreteScheduler(**DYNAMIC)
    pipeline = FluxPipeline(scheduler, vae=model.latents.vae, transformer=model.transformer, **parts)
    pipeline.set_progress_bar_config(disable=True)
    words = told(["a cat"])
    expected = pipeline(
        prompt_embeds=words.words, pooled_prompt_embeds=words.pooled, height=16, width=24, num_inference_steps=4,
        guidance_scale=2.5, latents=FluxPipeline._pack_latents(noise, 1, *model.shape), output_type="pt",
    ).images  # fmt: skip
    torch.testing.assert_close((result.decoded[0] / 2 + 0.5).clamp(0, 1), expected, rtol=1e-4, atol=1e-4)
    uniform = base(model, grid=PowerGrid())
    with torch.no_grad():
        other = fmtt.finish(uniform, uniform.loop.last()).decoded
    assert (other - result.decoded).abs().max() > 1e-3


def test_klein_jumps_over_the_levels_of_its_pipeline() -> None:
    model = flux3()
    scheduler = FlowMatchEulerDiscreteScheduler(shift=6.93)
    scheduler.set_timesteps(sigmas=torch.linspace(1, 0.25, 4).tolist())
    run = base(model, FlowMapTransport)
    x = run.loop.start()[0].population.x[0]
    condition = {name: value[:1] for name, value in model.encode_prompts(["a cat"]).items()}
    with torch.no_grad():
        for s, t in pairwise(1 - scheduler.sigmas):
            x = model.flow_map(x, s[None], t[None], condition)
        torch.testing.assert_close(run.loop.last().population.x[0], x, rtol=1e-4, atol=1e-4)
    assert model.grid.times(4) == pytest.approx(SchedulerGrid(scheduler, 1, by_tokens).times(4), abs=1e-6)
