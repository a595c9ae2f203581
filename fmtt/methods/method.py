"""A method: one object made from its settings alone, which is given the problem when it runs."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from fmtt.flow.noise import Noise
from fmtt.methods.loop import Loop
from fmtt.methods.problem import Problem
from fmtt.smc.population import Population, normalised_weights
from fmtt.smc.resampling import inverse_cdf


class Method(Protocol):
    """What a method is to those that run it.

    Attributes:
        weighted: whether its weights make the particles a sample of the tilted law.
        multinomial: whether it resamples by independent draws, so that equal weights too have unequal offspring.
        block: particles come in multiples of this.
        unused: settings of the command line that have no effect, such as ``sampler.chi``.
    """

    @property
    def weighted(self) -> bool: ...

    @property
    def unused(self) -> frozenset[str]: ...

    @property
    def multinomial(self) -> bool: ...

    @property
    def block(self) -> int: ...

    def loop(self, problem: Problem) -> Loop:
        """The method, ready to run.

        Raises:
            ValueError: if it does not fit the problem.
        """
        ...

    def choose(self, population: Population, noise: Noise) -> Tensor:
        """The index of the particle returned for each group, ``(G,)``."""
        ...


# settings of the trajectory through time, which methods without one do not use
OF_TRAJECTORIES = frozenset({"sampler.epsilon", "sampler.chi", "sampler.beta", "sampler.transport", "sampler.probes"})
NO_TRAJECTORY = OF_TRAJECTORIES | {"sampler.grid"}


class Maximiser:
    """Shared by methods that look for a maximum: no weights, any number of particles, and the best is returned."""

    weighted = multinomial = False
    block = 1
    unused = NO_TRAJECTORY

    def choose(self, population: Population, noise: Noise) -> Tensor:
        return best(population)


def best(population: Population) -> Tensor:
    """The particle of the largest tilt in each group, ``(G,)``."""
    return population.tilt.value.argmax(dim=1)


def drawn(population: Population, noise: Noise) -> Tensor:
    """A particle of each group drawn by weight, ``(G,)``, which keeps the law; that of the largest weight would not."""
    return inverse_cdf(normalised_weights(population.log_weights), noise.uniform((1,), 0, "choice"))[:, 0]
