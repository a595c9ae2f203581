"""A problem: everything that a method needs to run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from torch import Tensor

from fmtt.flow.meter import MeteredModel
from fmtt.flow.noise import Noise
from fmtt.flow.protocols import Velocity, as_flow
from fmtt.flow.schedules import Chi, Epsilon, LateRamp, RampFrom
from fmtt.methods.loop import Loop
from fmtt.step.damping import Damping
from fmtt.step.transport import Transport
from fmtt.tilt.look_ahead import FromLater, LookAhead
from fmtt.tilt.tilt import Tilt


@dataclass(frozen=True)
class Problem:
    """The parts of a problem.

    Attributes:
        model: the model; its calls are counted.
        tilt: look-ahead, reward, scale and ramp.
        epsilon, chi: the schedules of noise and extra drift.
        damping: how guidance is weakened early.
        transport: makes the transport along the base ODE.
        probes: random directions for the Laplacian that chi may need.
        times: the grid ``t_0 < ... < t_K = 1``; methods that do not move through time take K steps.
        particles: N in each group.
        noise: the keyed noise; it also has the numbers of the groups of this process.
        opening: a loop that prepares the noise, or None.
        image: the picture that is mixed with noise at t_0 > 0, ``(*D)``, or None: particles start from noise alone,
            times 1 - t_0.
        gradient_cost: what an evaluation of the tilt with its gradient costs, in evaluations without.
        budgeted: whether a method may have more particles than N, if fewer steps make them as cheap.
    """

    model: MeteredModel
    tilt: Tilt
    epsilon: Epsilon
    chi: Chi
    damping: Damping
    transport: Callable[[Velocity], Transport]
    probes: int
    times: tuple[float, ...]
    particles: int
    noise: Noise
    opening: Loop | None = None
    image: Tensor | None = None
    gradient_cost: float = 3.0
    budgeted: bool = False

    @property
    def steps(self) -> int:
        """K."""
        return len(self.times) - 1

    @property
    def generator(self) -> Tilt:
        """The whole tilt as a function of the initial noise; evaluate it at t = 0."""
        make = self.tilt.make_look_ahead
        if self.times[0] > 0:
            make = partial(_from_later, make=make, t0=self.times[0], image=self.image)
        return replace(self.tilt, make_look_ahead=make, ramp=RampFrom(1.0))

    def late(self, t0: float, image: Tensor | None = None) -> Problem:
        """The same from ``t0`` on: time grid and ramp are rescaled from [0, 1] to [t0, 1]; with ``image (*D)``."""
        times = (t0, *(t0 + (1 - t0) * t for t in self.times[1:-1]), 1.0)
        return replace(self, image=image, times=times, tilt=replace(self.tilt, ramp=LateRamp(self.tilt.ramp, t0)))


def _from_later(model: Velocity, make: Callable[[Velocity], LookAhead], t0: float, image: Tensor | None) -> FromLater:
    return FromLater(make(model), t0, image)


def normal_start(problem: Problem) -> Problem:
    """Particles start from noise, and nothing is prepared; at the first time of the model, where it has one."""
    first = as_flow(problem.model).first_time
    return problem.late(first) if first > 0 else problem
