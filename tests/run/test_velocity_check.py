"""A flow map that follows its velocity is told from one that does not."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from torch import Tensor

import fmtt
from fmtt.api import Run
from fmtt.flow.interpolant import expand
from fmtt.flow.protocols import Flow
from fmtt.run.probe import warn_of_model
from fmtt.run.velocity_check import gaps

SPEED = 0.7


def jump(x: Tensor, s: Tensor, t: Tensor) -> Tensor:
    return x * expand((SPEED * (t - s)).exp(), x)


GROWING = Flow((3,), lambda x, t: SPEED * x, jump)  # dx / dt = speed x


def run_of(flow: Flow) -> Run:
    return fmtt.assemble(flow, lambda seen: seen.sum(1), look_ahead=fmtt.Denoiser, groups=1, particles=1, steps=2)


@pytest.mark.parametrize("start", [0.0, 0.5])
def test_the_right_velocity_lands_where_the_map_does(start: float) -> None:
    found = gaps(run_of(GROWING), 4, start, 8)
    assert max(found) < 1e-5


@pytest.mark.parametrize("start", [0.0, 0.5])
def test_another_velocity_lands_elsewhere_by_what_can_be_calculated(start: float) -> None:
    faster = replace(GROWING, velocity=lambda x, t: 2 * SPEED * x)
    found = gaps(run_of(faster), 4, start, 8)
    right, left = math.exp(SPEED * (1 - start)), math.exp(2 * SPEED * (1 - start))
    assert found.ode == pytest.approx((left - right) / (right - 1), rel=1e-3)
    assert found.jumps < 1e-5


def test_a_map_that_disagrees_with_itself_is_seen() -> None:
    half = replace(GROWING, flow_map=lambda x, s, t: x * expand(1 + SPEED * (t - s), x))
    assert gaps(run_of(half), 4, 0.0, 8).jumps == pytest.approx(((1 + SPEED / 2) ** 2 - 1 - SPEED) / SPEED, rel=1e-4)


def test_too_few_steps_are_seen() -> None:
    assert gaps(run_of(GROWING), 4, 0.0, 8).solver < 1e-4 < gaps(run_of(GROWING), 4, 0.0, 2).solver


def test_a_model_without_a_flow_map_is_refused() -> None:
    with pytest.raises(ValueError, match="needs a flow map"):
        gaps(run_of(replace(GROWING, flow_map=None)), 4, 0.0, 8)


def test_the_caution_of_a_model_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    warn_of_model(run_of(GROWING))
    assert capsys.readouterr().err == ""
    warn_of_model(run_of(replace(GROWING, caution="be careful")))
    assert capsys.readouterr().err == "fmtt: note: be careful\n"
