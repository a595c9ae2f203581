"""A maximiser for any reward, whose samples stay typical of the model (measured in docs/frontier.md)."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from fmtt.checks import whole_number
from fmtt.methods.ascent import Nesterov
from fmtt.methods.loop import Loop
from fmtt.methods.method import Maximiser
from fmtt.methods.problem import Problem
from fmtt.methods.rounds import MultiBestOfN
from fmtt.methods.typical_ascent import TypicalAscent
from fmtt.tilt.tilt import differentiable, require_generator


@dataclass(frozen=True)
class Auto(Maximiser):
    """Search the noise of a generator for a sample of large reward that is still typical of the model.

    If the reward is differentiable, the method is gradient ascent in noise space. A sample is typical if its denoising
    error is not larger than is usual for samples of the model (:mod:`fmtt.tilt.typicality`). Samples that are not
    typical are not returned, and the ascent does not go on from them. If the reward is not differentiable, the method
    is best-of-N in rounds. ``sampler.steps`` is the number of iterations or rounds. A larger budget gives more starts,
    or more candidates in each round. All intermediate samples are kept in memory until the end.

    Attributes:
        rate: step size of the ascent; gradients are clipped to norm .1.
        check_every: iterations between two checks of the denoising error. A particle whose sample fails the check
            restarts from new noise, with half its step size.
        final_checks: checks at the end, which look for the best typical sample among all intermediate samples.
        pilot: samples of the model to draw for its usual denoising error, where that is not known; once for each
            prompt.

    Raises:
        ValueError: if a value is impossible.
    """

    rate: float = 12.0
    check_every: int = 10
    final_checks: int = 8
    pilot: int = 16
    climb: Nesterov = field(init=False, repr=False)

    unused_without_gradient = frozenset({"mode.rate", "mode.check_every", "mode.final_checks", "mode.pilot"})

    def __post_init__(self) -> None:
        whole_number("mode.check_every", self.check_every, 1)
        whole_number("mode.final_checks", self.final_checks, 1)
        whole_number("mode.pilot", self.pilot, 1)
        object.__setattr__(self, "climb", Nesterov(self.rate, momentum=0.9, clip=0.1))

    def loop(self, problem: Problem) -> Loop:
        generator = require_generator(problem.generator, "auto")
        one = torch.zeros(1, 1, *problem.model.shape, device=problem.noise.device, dtype=problem.noise.dtype)
        if problem.model.velocity is None or not differentiable(problem.tilt, one):
            return MultiBestOfN().loop(problem)
        return TypicalAscent(
            generator, problem.model, problem.steps, problem.particles, problem.noise, self.climb, self.check_every,
            self.final_checks, self.pilot,
        )  # fmt: skip


auto = Auto  # by its word on the command line
