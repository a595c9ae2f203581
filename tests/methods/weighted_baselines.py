"""Runs of the published baselines with weights on Gaussian data, their closed form, and what mutants of them share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import partial

import torch
from torch import Tensor

import fmtt
from fmtt.api import Run
from fmtt.flow.schedules import PowerRamp, RampFrom
from fmtt.methods import baselines
from fmtt.methods.composition import Composition
from fmtt.methods.loop import Info, State
from fmtt.methods.trajectory import Trajectory
from fmtt.smc.population import Population
from fmtt.tilt.look_ahead import Denoiser
from tests.gaussian_chain import reference
from tests.mutants import Mutation
from tests.support import GAUSSIAN, REWARDS, Setup, Truth, worst

# --- runs --------------------------------------------------------------------------------------------------------

WHOLE = RampFrom(1.0)
STEER = partial(baselines.fk_steering, interval=4)
FK = {name: partial(STEER, potential=name) for name in ("difference", "max", "sum")}
BINDING = partial(baselines.das, tempering=0.98)

# scale and ramp by mode: the tilt of DAS is strong enough for tempering to bind, that of FK steering whole at once
GAUSSIAN_RUNS = {
    "tds": (partial(baselines.tds, ess_threshold=0.8), 3.0, PowerRamp()),
    "das": (partial(BINDING, ess_threshold=0.8), 3.0, PowerRamp()),
    **{f"fk {name}": (mode, 1.0, WHOLE) for name, mode in FK.items()},
}


def gaussian_run(mode: Callable[..., Composition], scale: float = 1.0, **changes: object) -> Run:
    arguments = {"steps": 12, "groups": 128, "particles": 128, "chunk": 1_000_000, "look_ahead": Denoiser} | changes
    return fmtt.assemble(GAUSSIAN, REWARDS["quadratic"], mode=mode, scale=scale, **arguments)  # type: ignore[arg-type]


def chain(scale: float = 1.0, **changes: object) -> Truth:
    """What 12 steps of the base chain, weighted by its ends, converge to; no guidance or tempering changes it.

    Kernel weights are exact for the discretised base chain, which is known in closed form at any number of steps.
    """
    return reference(Setup(weights="kernel", scale=scale).but(**changes))


def preset(name: str) -> Trajectory:
    mode, scale, ramp = GAUSSIAN_RUNS[name]
    loop = gaussian_run(mode, scale, beta=ramp).loop
    assert isinstance(loop, Trajectory)
    return loop


def same(a: Population, b: Population) -> bool:
    return all(torch.equal(getattr(a, name), getattr(b, name)) for name in ("x", "log_weights", "log_z", "ancestors"))


# --- mutants -----------------------------------------------------------------------------------------------------


def found(name: str, mutate: Mutation) -> float:
    """The largest deviation of a mutated run from the closed form of the right one, in standard errors."""
    _, scale, _ = GAUSSIAN_RUNS[name]
    return worst(mutate(preset(name)).last().population, chain(scale))


@dataclass(frozen=True)
class LastStepAltered(Trajectory):
    """The log-weights of the last step get ``extra(before, after)`` on top."""

    extra: Callable[[State, State], Tensor] = lambda before, after: torch.zeros_like(after.population.log_weights)

    def step(self, state: State) -> tuple[State, Info]:
        after, info = super().step(state)
        if after.step < self.steps:
            return after, info
        log_weights = after.population.log_weights + self.extra(state, after)
        return replace(after, population=replace(after.population, log_weights=log_weights)), info


def at_the_end(extra: Callable[[State, State], Tensor]) -> Mutation:
    def mutate(loop: Trajectory) -> Trajectory:
        return LastStepAltered(**{field.name: getattr(loop, field.name) for field in fields(loop)}, extra=extra)

    return mutate
