"""A method: an object made from its settings alone. It gets the problem when it runs."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from fmtt.flow.noise import Noise
from fmtt.methods.loop import Loop
from fmtt.methods.problem import Problem
from fmtt.smc.population import Population, normalised_weights
from fmtt.smc.resampling import inverse_cdf


class Method(Protocol):
    """The interface of methods.

    Attributes:
        weighted: whether its weights make the particles a sample of the tilted law.
        multinomial: whether it resamples by independent draws. Then even equal weights give different numbers of
            offspring.
        block: the number of particles must be a multiple of this.
        min_particles: the fewest particles that it works with.
        unused: settings of the command line without effect, such as ``sampler.chi``. If the user gives one of them,
            the command line warns.
        through_time: whether particles move through time, so that noise can be prepared for them, and steps placed.
    """

    @property
    def weighted(self) -> bool: ...

    @property
    def unused(self) -> frozenset[str]: ...

    @property
    def through_time(self) -> bool: ...

    @property
    def multinomial(self) -> bool: ...

    @property
    def block(self) -> int: ...

    @property
    def min_particles(self) -> int: ...

    def loop(self, problem: Problem) -> Loop:
        """The method on ``problem``, ready to run.

        Raises:
            ValueError: if the method cannot be used on the problem.
        """
        ...

    def choose(self, population: Population, noise: Noise) -> Tensor:
        """The index of the particle returned for each group, ``(G,)``."""
        ...


# settings of the trajectory through time; methods without a trajectory do not use them
OF_TRAJECTORIES = frozenset(f"sampler.{name}" for name in ("epsilon", "chi", "damping", "beta", "transport", "probes"))
NO_TRAJECTORY = OF_TRAJECTORIES | {"sampler.grid"}


class Maximiser:
    """Base class of methods that look for a maximum: no weights, any number of particles, the best is returned."""

    weighted = multinomial = through_time = False
    block = min_particles = 1
    unused = NO_TRAJECTORY

    def choose(self, population: Population, noise: Noise) -> Tensor:
        return best(population)


def best(population: Population) -> Tensor:
    """The particle of the largest tilt in each group, ``(G,)``."""
    return population.tilt.value.argmax(dim=1)


def drawn(population: Population, noise: Noise) -> Tensor:
    """A particle of each group, ``(G,)``, drawn by weight, so that it follows the law of the weighted particles.

    The particle of the largest weight would not.
    """
    return inverse_cdf(normalised_weights(population.log_weights), noise.uniform((1,), 0, "choice"))[:, 0]
