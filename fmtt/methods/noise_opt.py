"""Gradient ascent on the noise of a generator (ReNO, arXiv 2406.04312)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from torch import Tensor

from fmtt.checks import at_least
from fmtt.flow.noise import Noise
from fmtt.methods.ascent import AscentState, Nesterov
from fmtt.methods.loop import Info, Loop, State
from fmtt.methods.method import Maximiser
from fmtt.methods.problem import Problem
from fmtt.smc.population import Population, require_finite
from fmtt.step.guidance import lengths
from fmtt.tilt.tilt import Tilt, require_generator


@dataclass(frozen=True)
class NoiseAscent(Loop):
    """``iterations`` steps of ascent from N(0, I). Particles do not interact."""

    tilt: Tilt
    shape: tuple[int, ...]
    iterations: int
    particles: int
    noise: Noise
    climb: Nesterov
    regularisation: float

    state = AscentState
    uses_gradient = True

    @property
    def steps(self) -> int:
        return self.iterations

    def start(self) -> tuple[AscentState, Info]:
        z = self.noise.normal((self.particles, *self.shape), 0, "start")
        tilt = self.tilt.evaluate(z, 0.0, gradient=True)
        require_finite({"the reward": tilt.reward}, 0, self.noise.groups)
        state = AscentState.start_from(z, tilt)
        return state, Info.still(state.population)

    def step(self, state: State) -> tuple[AscentState, Info]:
        assert isinstance(state, AscentState)
        z, momentum = self.climb(state.population.x, state.momentum, self.slope(state.population))
        tilt = self.tilt.evaluate(z, 0.0, gradient=state.step + 1 < self.iterations)
        require_finite({"the reward": tilt.reward}, state.step + 1, self.noise.groups)
        later = replace(state, momentum=momentum).improved(tilt, self.tilt.scale)
        return later.climbed(z, tilt, self.tilt.scale, self.iterations)

    def slope(self, population: Population) -> Tensor:
        """The gradient of ``scale r(X(z)) + regularisation log p(|z|)``, ``(G, N, *D)``.

        p is the density of the norm of a standard normal vector: ``log p = (d - 1) log |z| - |z|^2 / 2 + const``.
        """
        z, gradient = population.x, population.tilt.gradient
        assert gradient is not None
        size = lengths(z)
        d = z[0, 0].numel()
        return gradient + self.regularisation * z * ((d - 1) / size.square() - 1)


@dataclass(frozen=True)
class NoiseOpt(Maximiser):
    """ReNO (arXiv 2406.04312): gradient ascent of the reward over the noise of a generator.

    The look-ahead at t = 0 is the generator. The objective, the optimiser and its constants are those of the paper and
    its code; the reward is multiplied by its scale. ``sampler.steps`` is the number of iterations. Every particle is an
    independent start; the paper has one. The result is the best sample of all iterations.

    Attributes:
        rate: step size of the ascent.
        momentum: of Nesterov, in [0, 1].
        clip: the largest norm of a particle's gradient.
        regularisation: weight of the log-density of the norm of z. It keeps the norm close to that of standard normal
            noise.

    Raises:
        ValueError: if a value is impossible.
    """

    rate: float = 5.0
    momentum: float = 0.9
    clip: float = 0.1
    regularisation: float = 0.01
    climb: Nesterov = field(init=False, repr=False)

    def __post_init__(self) -> None:
        at_least("mode.regularisation", self.regularisation, 0)
        object.__setattr__(self, "climb", Nesterov(self.rate, self.momentum, self.clip))

    def loop(self, problem: Problem) -> NoiseAscent:
        generator = require_generator(problem.generator, "noise_opt")
        return NoiseAscent(
            generator, problem.model.shape, problem.steps, problem.particles, problem.noise, self.climb,
            self.regularisation,
        )  # fmt: skip


noise_opt = NoiseOpt  # by its word on the command line
