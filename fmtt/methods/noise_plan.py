"""How many temperatures, particles and chains a run in noise space gets, from the length that its pilot measured.

For K sweeps of equal discrepancy and N particles that mix well, the relative variance of the estimate of Z is about
``K (exp((length / K)^2) - 1) / N``, with the thermodynamic length of the path from noise to tilted noise. One sweep is
plain importance sampling from the noise: nothing moves, so no gradient is paid for.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from fmtt.methods.rejuvenation import KeepChains, MoveAll, Rejuvenation

MOST_SWEEPS = 200
LONGEST_CHAIN = 16
CHAINS = 8  # fewest chains side by side, unless there are fewer particles
NEARLY = 1.1  # of plans whose variance is within this factor of the least, the one with the fewest sweeps is taken


class Plan(NamedTuple):
    """A run in noise space.

    Attributes:
        sweeps: K.
        particles: N.
        chain: how many states of each chain are kept.
    """

    sweeps: int
    particles: int
    chain: int

    def variance(self, length: float) -> float:
        """Relative variance of the estimate of Z, for particles that mix well."""
        exponent = (length / self.sweeps) ** 2
        moved = 1.0 if self.sweeps == 1 or self.chain == 1 else 1 - 1 / self.chain  # the rest are where they were drawn
        return math.inf if exponent > 500 else self.sweeps * math.expm1(exponent) / (moved * self.particles)


class Means(NamedTuple):
    """What a group may spend, and on what.

    Attributes:
        evaluations: of the tilt, with the gradient if the moves use it.
        sparing: how many evaluations without the gradient cost as much as one of these.
        leaps: evaluations of a move.
        moves: moves in each sweep where chains have no states to keep.
        chain: how many states of each chain are kept, or None for what suits the particles.
        most: the most particles, or None for no limit.
    """

    evaluations: int
    sparing: float
    leaps: int
    moves: int
    chain: int | None
    most: int | None = None

    def plan(self, sweeps: int) -> Plan:
        """The largest run of so many sweeps; of no particles, if that costs too much."""
        chain, chains = (LONGEST_CHAIN, CHAINS) if sweeps > 1 else (2, 1)  # of one sweep, the shortest that keeps still
        if self.chain is not None:
            return Plan(sweeps, self.particles(sweeps, self.chain), self.chain)
        while chain > 1 and self.particles(sweeps, chain) < chains * chain:
            chain //= 2
        return Plan(sweeps, self.particles(sweeps, chain), chain)

    def particles(self, sweeps: int, chain: int) -> int:
        """The most particles, in multiples of ``chain``."""
        rule = rejuvenation(chain, self.moves)
        spent = self.evaluations * (1.0 if rule.moves_in(sweeps) else self.sparing)
        chains = int(spent // rule.evaluations(sweeps, chain, self.leaps))
        return (chains if self.most is None else min(chains, self.most // chain)) * chain

    def best(self, length: float) -> Plan:
        """The plan with the least variance of those that can be paid, or nearly."""
        plans = [plan for k in range(1, MOST_SWEEPS + 1) if (plan := self.plan(k)).particles]
        least = min(plan.variance(length) for plan in plans)
        return next(plan for plan in plans if plan.variance(length) <= NEARLY * least)

    def enough(self, length: float, threshold: float) -> Plan:
        """A plan with as many sweeps as it takes if each lets the ESS fall to ``threshold`` N, or as can be paid."""
        sweeps = max(1, math.ceil(length / math.sqrt(-math.log(threshold))))
        return next(plan for k in range(sweeps, 0, -1) if (plan := self.plan(k)).particles)


def rejuvenation(chain: int, moves: int) -> Rejuvenation:
    """The moves of a sweep: chains of which all states are kept, or ``moves`` moves of every particle."""
    return MoveAll(moves) if chain == 1 else KeepChains(chain)
