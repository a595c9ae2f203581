"""Trajectories that start from annealed noise."""

from __future__ import annotations

from dataclasses import dataclass, replace

from fmtt.checks import whole_number
from fmtt.flow.protocols import as_flow
from fmtt.methods.noise_smc import NoiseSmc
from fmtt.methods.problem import Problem


@dataclass(frozen=True)
class AnnealedStart:
    """Starts a run through time from noise that ``sweeps`` sweeps have annealed to the tilt in force at t = 0.

    The run starts from ``N(0, I) exp(beta(0) scale r(L_0))``, where beta is the ramp. Its weights, log Z and ancestors
    continue those of the annealing. The other arguments are those of :class:`fmtt.methods.noise_smc.NoiseSmc`. The base
    model that a run is compared with starts from plain N(0, I).
    """

    sweeps: int = 8
    move: str = "pcn"
    moves: int = 1
    ess_threshold: float = 0.5
    stride: float = 0.5

    def __post_init__(self) -> None:
        whole_number("sampler.start.sweeps", self.sweeps, 1)

    def __call__(self, problem: Problem) -> Problem:
        if as_flow(problem.model).first_time > 0:
            raise ValueError("sampler.start=annealed: trajectories of this model begin after t = 0; use normal")
        target = problem.tilt.ramp(0.0)
        if target == 0:
            raise ValueError("sampler.start=annealed: no tilt is in force at t = 0; use sampler/beta=from")
        smc = NoiseSmc(self.move, self.moves, ess_threshold=self.ess_threshold, stride=self.stride)
        return replace(problem, opening=smc.annealing(problem, self.sweeps, target, lands=False))
