"""What methods that look for a maximum are to the engine."""

from __future__ import annotations

from torch import Tensor

from fmtt.flow.noise import Noise
from fmtt.methods.presets import best
from fmtt.smc.population import Population


class Maximiser:
    """Particles without weights, in any number, of which the best is returned."""

    weighted = spreads_families = False
    block = 1

    def choose(self, population: Population, noise: Noise) -> Tensor:
        return best(population)
