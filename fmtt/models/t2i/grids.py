"""The time grids of the pipelines of diffusers: their schedulers place the noise levels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from fmtt.checks import whole_number
from fmtt.flow.schedules import Grid
from fmtt.models.t2i.weights import Published, library

Mu = Callable[[Any, int, int], float]  # the scheduler's settings, tokens of a picture and steps to the shift
MIDDLE = 1.3  # the angle between two steps of SanaSprintPipeline
Levels = Callable[[int], Mapping[str, Any]]  # steps to what the scheduler is told of them


def falling(steps: int) -> Mapping[str, Sequence[float]]:
    """Noise levels from 1 to ``1 / steps``, which the scheduler shifts: those of most pipelines."""
    return {"sigmas": torch.linspace(1, 1 / steps, steps, dtype=torch.float64).tolist()}


def own(steps: int) -> Mapping[str, int]:
    """The scheduler's own noise levels, down to its smallest one: those of SD3, SANA and AuraFlow."""
    return {"num_inference_steps": steps}


@dataclass(frozen=True)
class SchedulerGrid:
    """The times ``1 - sigma`` of the noise levels sigma that a pipeline uses.

    Attributes:
        scheduler: a ``FlowMatchEulerDiscreteScheduler``, or a ``DPMSolverMultistepScheduler`` with flow sigmas. The
            largest noise level of the latter is 0.9997; here it is 1, that of the latents.
        tokens: of a picture, on which the shift of some schedulers depends.
        mu: that shift, where the scheduler wants one.
        levels: what the pipeline tells the scheduler.
    """

    scheduler: Any
    tokens: int
    mu: Mu
    levels: Levels = falling

    def times(self, steps: int) -> tuple[float, ...]:
        told, config = self.levels(whole_number("sampler.steps", steps, 1)), self.scheduler.config
        shift = {"mu": self.mu(config, self.tokens, steps)} if config.use_dynamic_shifting else {}
        self.scheduler.set_timesteps(**told, **shift)
        return (0.0, *(1 - self.scheduler.sigmas[1:].double()).tolist())


@dataclass(frozen=True)
class AngleGrid:
    """The times of the angles of TrigFlow, ``1 - t = sin / (sin + cos)`` (arXiv 2503.09641).

    Attributes:
        scheduler: an ``SCMScheduler``, whose angles fall uniformly from a right one to 0. For two steps the pipeline
            has another one between them.
    """

    scheduler: Any

    def times(self, steps: int) -> tuple[float, ...]:
        count = whole_number("sampler.steps", steps, 1, self.scheduler.config.num_train_timesteps)
        self.scheduler.set_timesteps(count, intermediate_timesteps=MIDDLE if count == 2 else None)
        angles = self.scheduler.timesteps[1:].double()
        return (0.0, *(angles.cos() / (angles.sin() + angles.cos())).tolist())


@dataclass(frozen=True)
class NoiseLevelGrid:
    """The times ``1 / (1 + sigma)`` of the noise levels sigma of a scheduler, rescaled from [first time, 1] to [0, 1].

    Attributes:
        scheduler: an ``EulerDiscreteScheduler`` whose largest level is that of training, whatever the number of steps.
    """

    scheduler: Any

    @classmethod
    def of(cls, scheduler: Any) -> NoiseLevelGrid:
        """That of a published scheduler, with the spacing of which that is true (arXiv 2305.08891)."""
        return cls(type(scheduler).from_config(scheduler.config, timestep_spacing="trailing"))

    @property
    def first_time(self) -> float:
        """The time of the largest noise level."""
        return self._whole(1)[0]

    def times(self, steps: int) -> tuple[float, ...]:
        first, *later, end = self._whole(whole_number("sampler.steps", steps, 1, len(self.scheduler.alphas_cumprod)))
        return (0.0, *((t - first) / (1 - first) for t in later), end)

    def _whole(self, steps: int) -> list[float]:
        self.scheduler.set_timesteps(steps)  # for some numbers of steps it makes one too many, at the end
        return [*(1 / (1 + self.scheduler.sigmas[:steps].double())).tolist(), 1.0]


def by_tokens(config: Any, tokens: int, steps: int) -> float:
    """The shift of FLUX.1, Qwen-Image and most others: linear in the number of tokens."""
    slope = (config.max_shift - config.base_shift) / (config.max_image_seq_len - config.base_image_seq_len)
    return config.base_shift + slope * (tokens - config.base_image_seq_len)


def by_tokens_and_steps(config: Any, tokens: int, steps: int) -> float:
    """The shift of FLUX.2."""
    return library("diffusers.pipelines.flux2.pipeline_flux2").compute_empirical_mu(tokens, steps)


def grid_of(weights: Published, tokens: int, mu: Mu = by_tokens, levels: Levels = falling) -> Grid:
    """The grid of a published pipeline; arguments as :class:`SchedulerGrid`.

    Raises:
        ValueError: if its scheduler is not there, or is none of those whose noise levels are known here.
    """
    diffusers = library("diffusers")
    name = weights.class_in(diffusers.FlowMatchEulerDiscreteScheduler, "scheduler")
    if name == "SCMScheduler":
        return AngleGrid(weights.part(diffusers.SCMScheduler, "scheduler"))
    if name == "FlowMatchEulerDiscreteScheduler":
        return SchedulerGrid(weights.part(diffusers.FlowMatchEulerDiscreteScheduler, "scheduler"), tokens, mu, levels)
    if name == "DPMSolverMultistepScheduler":
        solver = weights.part(diffusers.DPMSolverMultistepScheduler, "scheduler")
        if solver.config.use_flow_sigmas:
            return SchedulerGrid(solver, tokens, mu, own)
    raise ValueError(
        f"{weights.setting}={weights.repository}: its scheduler is {name}, must be FlowMatchEulerDiscreteScheduler,"
        " DPMSolverMultistepScheduler with use_flow_sigmas, or SCMScheduler"
    )
