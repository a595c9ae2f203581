"""The strength of the noise of tilted dynamics, chosen by pilots.

Too little noise keeps particles where they started, too much makes steps overshoot. Both make the estimate of Z vary
more, and then its logarithm is smaller in the mean: ``E[log Z^] = log Z - Var[log Z^] / 2``, about. So the strength
with the largest mean ``log Z^`` is taken, as variational bounds do (Maddison et al. 2017, arXiv 1705.09279). This needs
estimates without an error of the time step, those of ``kernel`` weights.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from fmtt.checks import positive, whole_number
from fmtt.flow.schedules import PowerEpsilon
from fmtt.methods.pilots import check_start, pilot
from fmtt.methods.trajectory import Trajectory

SETTING = "sampler.epsilon"


@dataclass(frozen=True)
class PilotedEpsilon:
    """``eps = c (1 - t)^power``, with c from ``choices``. Until it is tuned, c is the first of them.

    Every choice has a pilot of one group of ``particles`` for each prompt, all with the same random numbers. The mean
    over prompts decides.
    """

    choices: Sequence[float] = (1.0, 0.5, 2.0, 4.0, 8.0)
    power: float = 1.0
    particles: int = 16

    vanishes = False

    def __post_init__(self) -> None:
        whole_number(f"{SETTING}.particles", self.particles, 2)
        if isinstance(self.choices, str) or not isinstance(self.choices, Sequence) or len(self.choices) < 2:
            raise ValueError(f"{SETTING}.choices={self.choices}: must be two or more numbers")
        for choice in self.choices:
            positive(f"{SETTING}.choices", choice)

    def of(self, c: float) -> PowerEpsilon:
        """The schedule of strength ``c``."""
        return PowerEpsilon(c, self.power)

    def __call__(self, t: float) -> float:
        return self.of(self.choices[0])(t)

    def check(self, loop: Trajectory) -> None:
        """ValueError if estimates of Z are biased by the time step, or if there are none."""
        check_start(loop)
        if not loop.dynamics.weights.weighted:
            raise ValueError(f"{SETTING}: pilots compare estimates of Z, which this mode does not have; use linear")
        if loop.dynamics.weights.invariant:
            raise ValueError(f"{SETTING}: pilots need mode.weights=kernel, which have no error of the time step")

    def tune(self, loop: Trajectory) -> Trajectory:
        """``loop`` with the strength that was found.

        Raises:
            ValueError: as :meth:`check`.
        """
        self.check(loop)
        loops = [replace(loop, dynamics=replace(loop.dynamics, epsilon=self.of(c))) for c in self.choices]
        found = [evidence(pilot(one, self.particles)) for one in loops]
        return loops[max(range(len(loops)), key=found.__getitem__)]


def evidence(loop: Trajectory) -> float:
    """The mean over groups of ``log Z^`` at the end; minus infinity if rewards or weights do not stay finite."""
    try:
        return loop.last().population.log_evidence.mean().item()
    except FloatingPointError:  # too much noise drives particles to infinity
        return -math.inf
