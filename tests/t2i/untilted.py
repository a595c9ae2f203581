"""Runs of the engine without a tilt, and the noise that they start from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

import fmtt
from fmtt.flow.protocols import Velocity
from fmtt.flow.schedules import Grid, ZeroEpsilon
from fmtt.step.transport import Euler, Transport

TEXT = "a cat"


def untilted(
    model: Any, steps: int = 4, transport: Callable[[Velocity], Transport] = Euler, grid: Grid | None = None
) -> fmtt.Run:
    """The base model along its ODE; without ``grid`` over the times of the model."""
    return fmtt.assemble(
        model, lambda seen: seen.mean((1, 2, 3)), mode=fmtt.modes.base, conditions=[TEXT], steps=steps, groups=1,
        particles=1, epsilon=ZeroEpsilon(), transport=transport, look_ahead=fmtt.Denoiser, grid=grid,
    )  # fmt: skip


def one_jump(model: Any) -> fmtt.Run:
    """The base model of a generator, which makes its sample in one jump."""
    return fmtt.assemble(
        model, lambda seen: seen.mean((1, 2, 3)), mode=fmtt.modes.noise_opt, conditions=[TEXT], groups=1, particles=1,
    ).baseline()  # fmt: skip


def noise_and_pictures(run: fmtt.Run) -> tuple[Tensor, Tensor]:
    """Where the run starts ``(1, *D)``, and what it makes of it ``(1, 3, H, W)`` in [0, 1]."""
    with torch.no_grad():
        noise = run.loop.start()[0].population.x[0]
        made = fmtt.finish(run, run.loop.last()).decoded[0]
    return noise, (made / 2 + 0.5).clamp(0, 1)
