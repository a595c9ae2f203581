"""A problem: everything that a method needs to run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from torch import Tensor

from fmtt.flow.meter import MeteredModel
from fmtt.flow.noise import Noise
from fmtt.flow.protocols import Velocity
from fmtt.flow.schedules import Chi, Epsilon, RampFrom
from fmtt.methods.loop import Loop
from fmtt.step.damping import Damping
from fmtt.step.transport import Transport
from fmtt.tilt.look_ahead import FromImage, LookAhead
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
        image: the picture that is mixed with noise at t_0 > 0, ``(*D)``, or None.
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

    @property
    def steps(self) -> int:
        """K."""
        return len(self.times) - 1

    @property
    def generator(self) -> Tilt:
        """The whole tilt as a function of the initial noise; evaluate it at t = 0."""
        make = self.tilt.make_look_ahead
        if self.image is not None:
            make = partial(_from_image, make=make, image=self.image, t0=self.times[0])
        return replace(self.tilt, make_look_ahead=make, ramp=RampFrom(1.0))


def _from_image(model: Velocity, make: Callable[[Velocity], LookAhead], image: Tensor, t0: float) -> FromImage:
    return FromImage(make(model), image, t0)


def normal_start(problem: Problem) -> Problem:
    """The problem itself: particles start from N(0, I), and nothing is prepared."""
    return problem
