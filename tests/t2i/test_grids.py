"""Models have the time grids of their pipelines; runs over them are in test_untilted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import (
    DPMSolverMultistepScheduler,
    FlowMatchEulerDiscreteScheduler,
    FlowMatchHeunDiscreteScheduler,
    SCMScheduler,
)
from diffusers.pipelines.flux.pipeline_flux import calculate_shift, retrieve_timesteps
from diffusers.pipelines.flux2.pipeline_flux2 import compute_empirical_mu

from fmtt.flow.schedules import PowerGrid
from fmtt.models.t2i.grids import Mu, by_tokens, by_tokens_and_steps, grid_of, own
from fmtt.models.t2i.weights import Published

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


def saved(scheduler: Any, folder: Path) -> Published:
    scheduler.save_pretrained(folder / "scheduler")
    return Published(str(folder), "a licence", gated=False, download=False)


FLOW = {"use_flow_sigmas": True, "prediction_type": "flow_prediction", "flow_shift": 3.0}


@pytest.mark.parametrize(
    "scheduler", [FlowMatchEulerDiscreteScheduler(shift=3.0), DPMSolverMultistepScheduler(**FLOW)], ids=["euler", "dpm"]
)
def test_some_pipelines_leave_the_levels_to_their_scheduler(scheduler: Any, tmp_path: Path) -> None:
    times = torch.tensor(grid_of(saved(scheduler, tmp_path), 256, levels=own).times(STEPS))
    scheduler.set_timesteps(STEPS)
    torch.testing.assert_close(1 - times[1:], scheduler.sigmas[1:], rtol=1e-6, atol=1e-6)
    assert times[0] == 0 and scheduler.sigmas[0] > 0.9996
    assert (times[1] - 1 / 16).abs() > 1e-4, "that of levels which fall to 1 / 6 is 1 / 16"


@pytest.mark.parametrize("steps", [1, 2, 4])
def test_angles_are_those_of_the_pipeline_of_sana_sprint(steps: int, tmp_path: Path) -> None:
    scheduler = SCMScheduler()
    times = torch.tensor(grid_of(saved(scheduler, tmp_path), 256).times(steps))
    scheduler.set_timesteps(steps, intermediate_timesteps=1.3 if steps == 2 else None)
    angles = torch.atan2(1 - times, times)  # sin / (sin + cos) is the noise level
    torch.testing.assert_close(angles, scheduler.timesteps, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("scheduler", [FlowMatchHeunDiscreteScheduler(), DPMSolverMultistepScheduler()],
                         ids=["heun", "dpm"])  # fmt: skip
def test_schedulers_of_other_kinds_are_refused(scheduler: Any, tmp_path: Path) -> None:
    line = f"^model.repository={tmp_path}: its scheduler is {type(scheduler).__name__}, must be FlowMatchEuler"
    with pytest.raises(ValueError, match=line):
        grid_of(saved(scheduler, tmp_path), 256)


def test_a_repository_without_a_scheduler_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has no scheduler that can be read"):
        grid_of(Published(str(tmp_path), "a licence", gated=False, download=False), 256)
