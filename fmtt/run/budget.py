"""One budget for every method: how many particles and steps can be afforded, and what a run has cost.

The unit of cost is one forward evaluation of the network for one particle. Backward evaluations, rewards and decoders
cost multiples of it. Nothing of it depends on what the network answers, so the cost of a run is known before it starts,
by a dry run on a toy model.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from fmtt.checks import at_least, positive, whole_number
from fmtt.flow.meter import COUNTS, Meter
from fmtt.methods.method import Method
from fmtt.methods.role import MAXIMISE, SAMPLE

FEWEST = {MAXIMISE: 1, SAMPLE: 4}  # a single particle has no weights to compare, and so no law


class Size(NamedTuple):
    """How long and how wide a run is."""

    steps: int
    particles: int


@dataclass(frozen=True)
class Budget:
    """What each group may cost.

    Attributes:
        nfe: the most that a group may cost, or None for no limit.
        backward_cost, reward_cost, reward_backward_cost, decode_cost, decode_backward_cost: what such a call costs for
            one particle, in forward evaluations of the network; ``scripts/measure_costs.py`` measures them.
        min_particles: particles below which steps are saved instead; None: :data:`FEWEST` for the role of the method.
    """

    nfe: float | None = None
    backward_cost: float = 2.0
    reward_cost: float = 0.0
    reward_backward_cost: float = 0.0
    decode_cost: float = 0.0
    decode_backward_cost: float = 0.0
    min_particles: int | None = None

    def __post_init__(self) -> None:
        if self.nfe is not None:
            positive("budget.nfe", self.nfe)
        for name in COUNTS[1:]:
            at_least(f"budget.{name}_cost", self.price(name), 0)
        if self.min_particles is not None:
            whole_number("budget.min_particles", self.min_particles, 1)

    def price(self, name: str) -> float:
        """What one call of the kind ``name`` costs, one of :data:`fmtt.flow.meter.COUNTS`."""
        prices = dict(zip(COUNTS, (1.0, self.backward_cost, self.decode_cost, self.decode_backward_cost,
                                   self.reward_cost, self.reward_backward_cost), strict=True))  # fmt: skip
        return prices[name]

    @property
    def gradient_cost(self) -> float:
        """What an evaluation of a tilt with its gradient costs at least, in evaluations without.

        It depends on how many evaluations of the network a look-ahead has; this is the least for any number of them.
        """
        forward = 1 + self.decode_cost + self.reward_cost
        backward = self.backward_cost + self.decode_backward_cost + self.reward_backward_cost
        return 1 + min(backward / forward, self.backward_cost)

    def cost(self, meter: Meter) -> float:
        """What a ledger amounts to."""
        return sum(self.price(name) * count for name, count in meter.counts.items())

    def afford(self, cost: Callable[[Size], float], size: Size, method: Method, role: str) -> Size:
        """The size of a run within the budget; ``size`` itself without a limit.

        As many particles as can be afforded for ``size.steps`` steps. If these are fewer than ``min_particles``, then
        that many with fewer steps; and fewer particles only if there is but one step left. What is left of the budget
        then buys further steps, if the method plans its length.

        Args:
            cost: of a group; affine in the number of particles, and rising with that of steps.
            size: what was asked for.
            method: what runs; it says in what multiples particles come, and how many it needs.
            role: of the run (:mod:`fmtt.methods.role`).

        Raises:
            ValueError: if not even one step of the fewest particles can be afforded.
        """
        if self.nfe is None:
            return size
        wanted = FEWEST[role] if self.min_particles is None else self.min_particles
        block, needed = method.block, method.min_particles
        least, min_particles = (-(-particles // block) * block for particles in (needed, max(needed, wanted)))
        particles = self._particles(cost, size.steps, block, least)
        if particles >= min_particles:
            most = 2 * size.steps  # as many would pay for a further block
            return Size(self._steps(cost, most, particles) if method.plans_length else size.steps, particles)
        steps = self._steps(cost, size.steps, min_particles)
        if steps:
            return Size(steps, max(min_particles, self._particles(cost, steps, block, least)))
        particles = self._particles(cost, 1, block, least)
        if not particles:
            raise ValueError(f"budget.nfe={self.nfe:g}: the smallest run costs {cost(Size(1, least)):g}")
        return Size(1, particles)

    def _particles(self, cost: Callable[[Size], float], steps: int, block: int, least: int) -> int:
        """The most particles that can be afforded for so many steps, perhaps none."""
        assert self.nfe is not None
        one, two = (cost(Size(steps, particles)) for particles in (least, least + block))
        if one > self.nfe:
            return 0
        if two <= one:
            raise ValueError("budget.nfe: this mode costs nothing that a budget could limit")
        return least + block * int((self.nfe - one) / (two - one) + 1e-9)

    def _steps(self, cost: Callable[[Size], float], most: int, particles: int) -> int:
        """The most steps, at most ``most``, that can be afforded for so many particles, perhaps none."""
        assert self.nfe is not None
        low, high = 0, most
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if cost(Size(middle, particles)) <= self.nfe else (low, middle - 1)
        return low
