"""Generators: models with a flow map and no velocity."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor

import fmtt
from fmtt.api import assemble
from fmtt.methods.auto import Auto
from fmtt.methods.rounds import MultiBestOfN, Rounds
from fmtt.models.analytic import Gaussian
from fmtt.step.transport import FlowMapTransport, Glass

WHOLE = Gaussian([0.5, -1.0], [1.0, 0.5])
PART = fmtt.Flow((2,), flow_map=WHOLE.flow_map, exact_flow_map=True)
SETTINGS = {"groups": 3, "particles": 4, "steps": 4, "scale": 2.0}


def slope(x: Tensor) -> Tensor:
    return x[:, 0] - x[:, 1].square()


@pytest.mark.parametrize("mode", [fmtt.modes.noise_opt, fmtt.modes.noise_smc, MultiBestOfN])
def test_methods_in_the_space_of_the_noise_do_not_ask_for_a_velocity(mode: Callable) -> None:
    with_it, without = (fmtt.sample(model, slope, mode=mode, **SETTINGS) for model in (WHOLE, PART))
    assert torch.equal(with_it.samples, without.samples) and torch.equal(with_it.rewards, without.rewards)


def test_the_base_model_jumps_once() -> None:
    base = assemble(PART, slope, mode=fmtt.modes.noise_opt, **SETTINGS).baseline()
    samples = fmtt.finish(base, base.loop.last()).samples
    z = base.problem.noise.normal((4, 2), 0, "start")
    zero = torch.zeros(12)
    assert torch.equal(samples.flatten(0, 1), WHOLE.flow_map(z.flatten(0, 1), zero, zero + 1))
    assert base.meter.forward == 12


def test_auto_takes_rounds() -> None:
    assert isinstance(assemble(PART, slope, mode=Auto, **SETTINGS).loop, Rounds)


@pytest.mark.parametrize(
    ("choice", "user"),
    [
        ({}, "this mode"),
        ({"transport": FlowMapTransport}, "this mode"),
        ({"transport": Glass, "mode": fmtt.modes.best_of_n}, "sampler.transport=glass"),
        ({"look_ahead": fmtt.Denoiser, "mode": MultiBestOfN}, "lookahead=denoiser"),
        ({"look_ahead": partial(fmtt.OdeSteps, steps=2), "mode": fmtt.modes.noise_opt}, "lookahead=diffusion4"),
        ({"look_ahead": partial(fmtt.Exact, steps=2), "mode": fmtt.modes.noise_opt}, "lookahead=exact"),
    ],
)
def test_what_needs_a_velocity_says_so(choice: dict, user: str) -> None:
    with pytest.raises(ValueError, match=f"^{user} needs a velocity, and the model is a generator without one; use "):
        assemble(PART, slope, **choice, **SETTINGS).loop.last()


def test_a_model_has_a_velocity_or_a_flow_map() -> None:
    with pytest.raises(ValueError, match="the model has neither a velocity nor a flow map"):
        fmtt.Flow((2,))
