"""One budget for every method: how many particles and steps can be afforded, and what a run has cost.

The cost of a group is ``forward + backward_cost x backward`` evaluations of the network, one per particle. Nothing of
it depends on what the network answers, so the cost of a run is known before it starts, by a dry run on a toy model.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from fmtt.checks import at_least, positive, whole_number
from fmtt.flow.meter import Meter


class Size(NamedTuple):
    """How long and how wide a run is."""

    steps: int
    particles: int


@dataclass(frozen=True)
class Budget:
    """What each group may cost.

    Attributes:
        nfe: the most that a group may cost, or None for no limit.
        backward_cost: cost of a backward evaluation, in forward ones.
        min_particles: particles below which steps are saved instead.
    """

    nfe: float | None = None
    backward_cost: float = 2.0
    min_particles: int = 4

    def __post_init__(self) -> None:
        if self.nfe is not None:
            positive("budget.nfe", self.nfe)
        at_least("budget.backward_cost", self.backward_cost, 0)
        whole_number("budget.min_particles", self.min_particles, 1)

    def cost(self, meter: Meter) -> float:
        """What a ledger amounts to."""
        return meter.forward + self.backward_cost * meter.backward

    def afford(self, cost: Callable[[Size], float], size: Size, block: int, least: int = 1) -> Size:
        """The size of a run within the budget; ``size`` itself without a limit.

        As many particles as can be afforded for ``size.steps`` steps. If these are fewer than ``min_particles``, then
        that many with fewer steps; and fewer particles only if there is but one step left.

        Args:
            cost: of a group; affine in the number of particles, and rising with that of steps.
            size: what was asked for.
            block: particles come in multiples of this.
            least: the fewest particles that the method works with.

        Raises:
            ValueError: if not even one step of the fewest particles can be afforded.
        """
        if self.nfe is None:
            return size
        least, min_particles = (-(-particles // block) * block for particles in (least, max(least, self.min_particles)))
        particles = self._particles(cost, size.steps, block, least)
        if particles >= min_particles:
            return Size(size.steps, particles)
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
