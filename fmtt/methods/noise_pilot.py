"""The pilot of a run in noise space: how far is the tilted noise from the noise, and what is to be made of it?"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor

from fmtt.methods.loop import totals
from fmtt.methods.noise_plan import Means, Plan, rejuvenation
from fmtt.methods.pilots import PILOT

if TYPE_CHECKING:
    from fmtt.methods.noise_smc import NoiseAnnealing

LONGEST = 64  # sweeps of a pilot, at most
SCOUTS = (32, 16, 8)  # particles of a pilot, if a quarter of the run buys so many sweeps:
FEWEST = 8
RISE = 1e-9  # what a rise of the temperature to 1 adds to the length, so that a constant reward has one


def scout_of(loop: NoiseAnnealing) -> NoiseAnnealing | None:
    """The pilot of a run, which has one group for each prompt and may cost half of the run; None if there is none."""
    rule, batches = loop.rule, loop.tilt.batches
    if rule.temperatures or rule.pilot == 0:
        return None

    def sweeps(particles: int, share: float) -> int:
        moves = rejuvenation(rule.chain or particles // 4, rule.moves)
        cost = partial(moves.evaluations, particles=particles, leaps=rule.metropolis.leaps)
        return max(
            (k for k in range(1, LONGEST + 1) if cost(k) * batches.prompts <= share * loop.evaluations), default=0
        )

    particles = rule.pilot or next((n for n in SCOUTS if n % rule.block == 0 and sweeps(n, 0.25) >= FEWEST), 0)
    if not particles or not sweeps(particles, 0.5):
        return None
    prompt = None if batches.prompt is None else torch.arange(batches.prompts, device=batches.prompt.device)
    return replace(
        loop, sweeps=sweeps(particles, 0.5), particles=particles, lands=False,
        rule=replace(rule, pilot=0, chain=rule.chain or particles // 4),
        tilt=replace(loop.tilt, batches=replace(batches, prompt=prompt)),
        noise=replace(loop.noise, groups=tuple(PILOT - number for number in range(batches.prompts))),
    )  # fmt: skip


class Profile(NamedTuple):
    """What a pilot measured of each of P prompts.

    Attributes:
        temperatures: after each of its sweeps, from 0 to 1, ``(S + 1, P)``.
        lengths: thermodynamic lengths up to there, ``(S + 1, P)``.
        spent: evaluations of the tilt.
    """

    temperatures: Tensor
    lengths: Tensor
    spent: int

    def levels(self, sweeps: int) -> Tensor:
        """Temperatures of so many sweeps of equal length, ``(P, sweeps)``."""
        shares = torch.arange(1, sweeps + 1) / sweeps
        rows = [
            np.interp(shares * float(way[-1]), way + RISE * rise, rise)
            for way, rise in zip(self.lengths.T.cpu().numpy(), self.temperatures.T.cpu().numpy(), strict=True)
        ]
        levels = torch.tensor(np.stack(rows), device=self.temperatures.device)
        return torch.cat([levels[:, :-1], torch.ones_like(levels[:, -1:])], dim=1)


def measured(scout: NoiseAnnealing) -> Profile:
    """What the pilot finds on its way to the target."""
    total, found = None, []
    for state, info in scout.run():
        total = totals(info, total)
        found.append((state.temperature / scout.target, total.length))
        if bool((state.temperature >= scout.target).all()):
            break
    temperatures, lengths = (torch.stack(part) for part in zip(*found, strict=True))
    # a pilot that arrives early has moved in its last sweep, too
    sweeps = min(len(found), scout.sweeps)
    cost = scout.rule.rejuvenation.evaluations(sweeps, scout.particles, scout.rule.metropolis.leaps)
    return Profile(temperatures, lengths, cost * temperatures.shape[1])


def planned(loop: NoiseAnnealing) -> NoiseAnnealing:
    """The run with the sweeps, temperatures, particles and chains that suit what its pilot measures.

    Without a budget there are no more particles than were asked for. The hardest prompt decides how many sweeps there
    are. Each prompt has its own temperatures, which are fixed before the run. If a threshold of the ESS is given, then
    temperatures adapt to that. A budget that is too small for a pilot buys weighted base samples, unless settings of
    the sweeps are given.
    """
    scout, rule = scout_of(loop), loop.rule
    if scout is None:
        free = (rule.pilot, rule.chain, rule.ess_threshold) == (None, None, None) and not rule.temperatures
        return following(loop, means_of(loop, 0).plan(1), None) if loop.budgeted and free else loop
    profile = measured(scout)
    means = means_of(loop, profile.spent)
    length, threshold = profile.lengths[-1].max().item(), rule.ess_threshold
    plan = means.best(length) if threshold is None else means.enough(length, threshold)
    return following(loop, plan, profile.levels(plan.sweeps) if threshold is None else None)


def means_of(loop: NoiseAnnealing, spent: int) -> Means:
    """What is left for a group of a run after a pilot that has ``spent`` so many evaluations."""
    rule = loop.rule
    sparing = loop.gradient_cost if rule.metropolis.uses_gradient else 1.0
    left = (loop.evaluations - spent) // len(loop.noise.groups)
    most = None if loop.budgeted else loop.particles
    return Means(left, sparing, rule.metropolis.leaps, rule.moves, rule.chain, most)


def following(loop: NoiseAnnealing, plan: Plan, levels: Tensor | None) -> NoiseAnnealing:
    """The run that a plan describes, at these temperatures."""
    rule = replace(loop.rule, pilot=0, chain=plan.chain)
    return replace(loop, sweeps=plan.sweeps, particles=plan.particles, rule=rule, levels=levels)
