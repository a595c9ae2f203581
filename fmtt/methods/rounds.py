"""Best-of-N in rounds: look ahead, keep the best sample, renoise it to a later time, and repeat."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from fmtt.flow.noise import Noise
from fmtt.flow.schedules import RampFrom
from fmtt.methods.loop import Info, Loop, State
from fmtt.methods.method import OF_THE_SCALE, OF_TRAJECTORIES, Maximiser
from fmtt.methods.problem import Problem
from fmtt.methods.role import best
from fmtt.smc.population import Population, require_finite
from fmtt.smc.potentials import PathValue
from fmtt.tilt.tilt import Tilt, TiltValue, require_generator


@dataclass(frozen=True)
class Rounds(Loop):
    """Round k renoises the best sample so far to time ``times[k]``, with N noises, and looks ahead from these N points.

    The first round starts from N(0, I). The population holds the N landings of the last round. The best sample of all
    rounds is among them.

    Attributes:
        generator: the tilt as a function of the noise, for the first round.
        tilt: the tilt at later times.
        shape: shape D of the noise.
        times: the times of the rounds.
        particles: N.
        noise: the keyed noise.
    """

    generator: Tilt
    tilt: Tilt
    shape: tuple[int, ...]
    times: tuple[float, ...]
    particles: int
    noise: Noise

    uses_gradient = False

    @property
    def steps(self) -> int:
        return len(self.times) - 1

    def start(self) -> tuple[State, Info]:
        x = self.noise.normal((self.particles, *self.shape), 0, "start")
        population = Population.start(x, TiltValue.unknown(x))
        return State.start(population), Info.still(population)

    def step(self, state: State) -> tuple[State, Info]:
        k, population, t = state.step, state.population, self.times[state.step]
        if k == 0:
            tilt = self.generator.evaluate(population.x, 0.0, gradient=False)
        else:
            winner = population.take(best(population)[:, None])
            fresh = self.noise.normal((self.particles, *self.shape), k, "renoising")
            tilt = self.tilt.evaluate((1 - t) * fresh + t * winner.x, t, gradient=False)
        require_finite({"the reward": tilt.reward}, k + 1, self.noise.groups)
        assert tilt.sample is not None
        landed = replace(population, x=tilt.sample, tilt=tilt)
        if k > 0:
            landed = keep(winner, replace(landed, ancestors=winner.ancestors.expand_as(population.ancestors)))
        info = Info.still(landed)
        return state.moved(self.times[k + 1], landed), replace(info, selected=torch.full_like(info.selected, k > 0))


def keep(winner: Population, landed: Population) -> Population:
    """``landed`` with its worst particle of each group replaced by that of ``winner``, where the latter is better.

    ``winner`` has one particle in each group.
    """
    worst = landed.tilt.value.argmin(dim=1, keepdim=True)
    better = winner.tilt.value > landed.tilt.value.gather(1, worst)
    particles = landed.tilt.value.shape[1]
    slots = torch.arange(particles, device=worst.device).expand(len(worst), -1)
    index = torch.where(better & (slots == worst), particles, slots)  # index N is the winner

    def join(old: Tensor, new: Tensor) -> Tensor:
        return torch.cat([new, old], dim=1)

    pairs = zip(winner.tilt, landed.tilt, strict=True)
    tilt = TiltValue(*(None if old is None or new is None else join(old, new) for old, new in pairs))  # type: ignore
    both = replace(
        landed, x=join(winner.x, landed.x), tilt=tilt, path=PathValue(join(winner.path.value, landed.path.value)),
        log_weights=join(winner.log_weights, landed.log_weights),
        ancestors=join(winner.ancestors, landed.ancestors),
    )  # fmt: skip
    return both.take(index)


@dataclass(frozen=True)
class MultiBestOfN(Maximiser):
    """Best-of-N in rounds: a baseline of arXiv 2511.22688, whose definition there is not public.

    This is our interpretation. There are ``sampler.steps`` rounds, at the times of ``sampler.grid``. Each round
    renoises the best landing so far with N noises, and looks ahead from these N points. No gradient is needed.
    """

    unused = OF_TRAJECTORIES | OF_THE_SCALE

    def loop(self, problem: Problem) -> Rounds:
        generator = require_generator(problem.generator, "multi_best_of_n")
        whole = replace(problem.tilt, ramp=RampFrom(1.0))
        return Rounds(generator, whole, problem.model.shape, problem.times, problem.particles, problem.noise)


multi_best_of_n = MultiBestOfN  # by its word on the command line
