"""SANA-Sprint: the pipeline of diffusers, step for step, and the velocity of its teacher."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from diffusers import SanaPipeline, SanaSprintPipeline, SCMScheduler

import fmtt
from fmtt.flow.protocols import as_flow
from fmtt.models.t2i.encodings import MASKED
from fmtt.models.t2i.grids import SchedulerGrid, by_tokens, own
from fmtt.models.t2i.one_time import NEGATIVE
from fmtt.models.t2i.sana_sprint import SanaSprint, load_sana_sprint
from tests.t2i.derivatives import landing, rate_error, slope_of
from tests.t2i.tiny import scheduler
from tests.t2i.tiny_sana_sprint import encoders, sana_sprint, sana_transformer, sana_vae, save_sana_sprint, told

pytestmark = pytest.mark.filterwarnings("ignore")
TEXTS = ["a cat", "a clock", "a dog"]
ANGLES = (1.5708, 1.3)  # of the two steps of the pipeline


@pytest.fixture(scope="module")
def model() -> SanaSprint:
    return sana_sprint()


@pytest.fixture(scope="module")
def noise() -> torch.Tensor:
    return torch.randn(3, 4, 8, 12, generator=torch.Generator().manual_seed(2))


def rows(model: SanaSprint, *which: int) -> dict[str, torch.Tensor]:
    return {name: value[list(which)] for name, value in model.encode_prompts(TEXTS).items()}


@pytest.mark.parametrize("steps", [1, 2])
def test_landings_and_pictures_are_those_of_the_pipeline(model: SanaSprint, noise: torch.Tensor, steps: int) -> None:
    """After the first step the pipeline lands, and goes back by new noise to the second angle."""
    pipeline = SanaSprintPipeline(None, None, model.latents.vae, model.student, SCMScheduler())
    pipeline.set_progress_bar_config(disable=True)
    condition = rows(model, 0)
    given = {"prompt_embeds": condition[MASKED[0]], "prompt_attention_mask": condition[MASKED[1]]}
    size = {"height": 32, "width": 64, "use_resolution_binning": False, "latents": noise[:1]}  # latents decide
    again = None if steps == 1 else ANGLES[1]
    expected = pipeline(
        **given, **size, num_inference_steps=steps, intermediate_timesteps=again, output_type="pt",
        generator=torch.Generator().manual_seed(7),
    ).images  # fmt: skip
    fresh, one = torch.randn(noise[:1].shape, generator=torch.Generator().manual_seed(7)), torch.ones(1)
    x = noise[:1]
    for angle in ANGLES[:steps]:
        cosine, sine = math.cos(angle), math.sin(angle)
        at = x if angle == ANGLES[0] else (cosine * x + sine * fresh) / (cosine + sine)
        x = model.flow_map(at, torch.tensor([cosine / (cosine + sine)]), one, condition)
    torch.testing.assert_close((model.decode(x) / 2 + 0.5).clamp(0, 1), expected, rtol=1e-4, atol=1e-4)


def test_the_velocity_is_the_guided_teacher(model: SanaSprint, noise: torch.Tensor) -> None:
    """As the script of diffusers that trains SANA-Sprint asks it: the noise level itself is the time."""
    condition, level = rows(model, 0), torch.tensor([0.7])
    asked, refused = (
        model.transformer(noise[:1], words, level, encoder_attention_mask=mask)[0]
        for words, mask in ([condition[begin + name] for name in MASKED] for begin in ("", NEGATIVE))
    )
    right = -(refused + 4.5 * (asked - refused))
    torch.testing.assert_close(model.velocity(noise[:1], 1 - level, condition), right, rtol=1e-5, atol=1e-5)
    assert (right + asked).abs().max() > 1e-2, "the negative prompt changes the velocity"


def test_its_map_goes_to_the_data_only(model: SanaSprint) -> None:
    assert as_flow(model).data_only


def test_a_batch_mixes_times_and_prompts(model: SanaSprint, noise: torch.Tensor) -> None:
    s, one, condition = torch.tensor([0.0, 0.4, 0.7]), torch.ones(3), rows(model, 0, 1, 2)
    landed, moving = model.flow_map(noise, s, one, condition), model.velocity(noise, s, condition)
    for k in range(3):
        alone = rows(model, k)
        torch.testing.assert_close(
            landed[[k]], model.flow_map(noise[[k]], s[[k]], one[[k]], alone), rtol=1e-4, atol=1e-5
        )
        torch.testing.assert_close(moving[[k]], model.velocity(noise[[k]], s[[k]], alone), rtol=1e-4, atol=1e-5)
    for other in (model.flow_map(noise[:1], s[1:2], one[:1], rows(model, 0)),
                  model.flow_map(noise[:1], s[:1], one[:1], rows(model, 2))):  # fmt: skip
        assert (other - landed[:1]).abs().max() > 1e-3


def double() -> SanaSprint:
    parts = (part.double() for part in (sana_transformer(True), sana_transformer(False), sana_vae()))
    return SanaSprint(*parts, told, 16, 24)


def test_gradients_reach_the_latents_through_look_ahead_and_decoder() -> None:
    """The linear attention is float32 in any precision (shorter h), and has the corners of a ReLU (longer h)."""
    model = double()
    slope = slope_of(model, landing(model, rows(model, 0)), h=3e-4)
    assert slope.off < 1e-3 and slope.gain > 0


def test_the_material_derivative_agrees_with_differences_in_time() -> None:
    model = double()
    assert rate_error(model, landing(model, rows(model, 0)), rows(model, 0)) < 1e-3


def test_encoding_inverts_the_scale_of_the_latents(model: SanaSprint) -> None:
    pictures = torch.rand(2, 3, 16, 24, generator=torch.Generator().manual_seed(4)) * 2 - 1
    plain = model.latents.vae.encode(pictures).latent
    torch.testing.assert_close(model.encode(pictures) / 0.41, plain, rtol=1e-5, atol=1e-6)


def test_the_engine_tilts_it_by_one_jump_and_refuses_two(model: SanaSprint) -> None:
    def sample(jumps: int) -> fmtt.Result:
        return fmtt.sample(
            model, lambda pictures: -pictures.square().mean((1, 2, 3)), conditions=TEXTS[:2], mode=fmtt.modes.search,
            look_ahead=lambda flow: fmtt.FlowMapJumps(flow, jumps), groups=1, particles=2, steps=2,
        )  # fmt: skip

    assert torch.isfinite(sample(1).rewards).all()
    with pytest.raises(
        ValueError,
        match=r"lookahead\.steps=2: the flow map of this model goes to the data only; use lookahead=flowmap1",
    ):
        sample(2)


def test_a_folder_is_a_model_whose_texts_are_encoded_as_by_the_pipeline(tmp_path: Path) -> None:
    texts = encoders()
    model = load_sana_sprint(*save_sana_sprint(tmp_path, texts), 16, 24, checkpointing=True).to(
        torch.device("cpu"), torch.float32
    )
    assert model.grid.times(4) == SchedulerGrid(scheduler(), 96, by_tokens, own).times(4), "those of the teacher"
    found = model.encode_prompts(TEXTS[:2])
    seen: list[tuple[torch.Tensor, ...]] = []

    class Listening(SanaSprintPipeline):
        """Stops when the prompts are encoded."""

        def encode_prompt(self, *given: object, **others: object) -> None:
            seen.append(super().encode_prompt(*given, **others))
            raise InterruptedError

    absent = {"vae": None, "transformer": None, "scheduler": None}
    with pytest.raises(InterruptedError):
        Listening(**texts, **absent)(TEXTS[:2], height=32, width=32, use_resolution_binning=False)
    for name, value in zip(MASKED, seen[0], strict=True):
        torch.testing.assert_close(found[name], value)
    negative = SanaPipeline(**texts, **absent).encode_prompt(TEXTS[:2])[2:]
    for name, value in zip(MASKED, negative, strict=True):
        torch.testing.assert_close(found[NEGATIVE + name], value)
    assert torch.is_grad_enabled()


def test_what_does_not_fit_or_is_missing_is_refused() -> None:
    with pytest.raises(ValueError, match=r"model\.height=17, model\.width=24: must be multiples of 2"):
        SanaSprint(sana_transformer(True), sana_transformer(False), sana_vae(), told, 17, 24)
    with pytest.raises(ValueError, match="must be SANA-Sprint and its teacher, in this order"):
        SanaSprint(sana_transformer(False), sana_transformer(True), sana_vae(), told, 16, 24)
    with pytest.raises(ValueError, match=r"the transformer is not on this machine \(licence NVIDIA"):
        load_sana_sprint()
