"""A maximiser for any reward that stays within the model (measured in docs/frontier.md)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from fmtt.flow.conditions import for_rows
from fmtt.methods.ascent import Nesterov
from fmtt.methods.loop import Loop
from fmtt.methods.method import Maximiser
from fmtt.methods.problem import Problem
from fmtt.methods.rounds import MultiBestOfN
from fmtt.methods.typical_ascent import TypicalOpt


def differentiable(problem: Problem) -> bool:
    """Whether the reward of the problem has a gradient; calls it for one sample."""
    with torch.enable_grad():
        x = torch.zeros(1, 1, *problem.model.shape, device=problem.noise.device).requires_grad_()
        ((sample, prompt),) = replace(problem.tilt.batches, prompt=problem.tilt.batches.first).split(x)
        return bool(for_rows(problem.tilt.reward, prompt)(sample).requires_grad)


@dataclass(frozen=True)
class Auto(Maximiser):
    """Typical ascent where the reward has a gradient, best-of-N in rounds where it has none; see :func:`auto`."""

    ascent: TypicalOpt
    rounds: MultiBestOfN = MultiBestOfN()

    def loop(self, problem: Problem) -> Loop:
        chosen = self.ascent if differentiable(problem) else self.rounds
        return chosen.loop(problem)


def auto(
    rate: float = 12.0,
    check_every: int = 10,
    final_checks: int = 8,
    pilot: int = 16,
) -> Auto:
    """Toward a large reward that is still a sample of the model, on the noise of a generator.

    Where the reward is differentiable, ascent in noise space; what surprises the model more than its own samples do
    (:mod:`fmtt.tilt.typicality`) is not returned, and is not climbed on from. Else best-of-N in rounds.
    ``sampler.steps`` iterations or rounds; a larger budget buys more starts, or more candidates a round. All samples of
    the way are kept in memory until the end.

    Args:
        rate: of the ascent, in lengths of the clipped gradient .1.
        check_every: iterations after which the model is asked about the sample; whose surprises it starts anew, at half
            the pace.
        final_checks: how often the model is asked at the end, to find the best sample on the way that does not.
        pilot: own samples to draw, once for all groups, where the model does not know its usual denoising error.
    """
    return Auto(TypicalOpt(Nesterov(rate, momentum=0.9, clip=0.1), check_every, final_checks, pilot))
