"""The time grids of the pipelines of diffusers: their schedulers place the noise levels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from fmtt.checks import whole_number
from fmtt.models.t2i.weights import Published, library

Mu = Callable[[Any, int, int], float]  # the scheduler's settings, tokens of a picture and steps to the shift


@dataclass(frozen=True)
class SchedulerGrid:
    """The times ``1 - sigma`` of the noise levels sigma that a pipeline uses.

    Attributes:
        scheduler: a ``FlowMatchEulerDiscreteScheduler``.
        tokens: of a picture, on which the shift of some schedulers depends.
        mu: that shift, where the scheduler wants one.
    """

    scheduler: Any
    tokens: int
    mu: Mu

    def times(self, steps: int) -> tuple[float, ...]:
        levels = torch.linspace(1, 1 / whole_number("sampler.steps", steps, 1), steps, dtype=torch.float64).tolist()
        config = self.scheduler.config
        shift = {"mu": self.mu(config, self.tokens, steps)} if config.use_dynamic_shifting else {}
        self.scheduler.set_timesteps(sigmas=levels, **shift)
        return (0.0, *(1 - self.scheduler.sigmas[1:].double()).tolist())


def by_tokens(config: Any, tokens: int, steps: int) -> float:
    """The shift of FLUX.1, Qwen-Image and most others: linear in the number of tokens."""
    slope = (config.max_shift - config.base_shift) / (config.max_image_seq_len - config.base_image_seq_len)
    return config.base_shift + slope * (tokens - config.base_image_seq_len)


def by_tokens_and_steps(config: Any, tokens: int, steps: int) -> float:
    """The shift of FLUX.2."""
    return library("diffusers.pipelines.flux2.pipeline_flux2").compute_empirical_mu(tokens, steps)


def grid_of(weights: Published, tokens: int, mu: Mu = by_tokens) -> SchedulerGrid:
    """The grid of a published pipeline.

    Raises:
        ValueError: if its scheduler is not there.
    """
    return SchedulerGrid(weights.part(library("diffusers").FlowMatchEulerDiscreteScheduler, "scheduler"), tokens, mu)
