"""Ascent in noise space that returns only what the model itself would still draw."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from fmtt.checks import whole_number
from fmtt.flow.model import Velocity, in_chunks
from fmtt.flow.noise import Noise
from fmtt.methods.ascent import AscentState, Nesterov
from fmtt.methods.loop import Loop, State
from fmtt.methods.maximiser import Maximiser
from fmtt.methods.problem import Setting
from fmtt.smc.population import require_finite
from fmtt.step.guidance import lengths
from fmtt.tilt.tilt import Tilt, columns, gather
from fmtt.tilt.typicality import DRAWS, denoising_error, usual_error

SHORT = 40  # iterations below which a run chooses among so few samples that luck matters less: it looks at one draw
LENIENT = 1.25  # and allows so much more
REACH = 0.8  # how far down from the best to the start the looks back go until one is within the limit


@dataclass(frozen=True)
class TypicalState(AscentState):
    """A run after some iterations.

    Attributes:
        limit: the denoising error that the samples of a particle may have, ``(G, N)``.
        pace: the share of the rate at which it climbs, ``(G, N)``.
        samples: what each particle has made so far, that of the start first, ``(G, N, step + 1, *D)``.
        rewards: their rewards, ``(G, N, step + 1)``.
    """

    limit: Tensor
    pace: Tensor
    samples: Tensor
    rewards: Tensor


@dataclass(frozen=True)
class TypicalAscent(Loop):
    """``iterations`` of ascent from N(0, I), each particle on the sphere that it starts on, and a look back.

    Nothing holds the ascent within the model. Now and then it is asked whether a sample surprises the model more than
    its own samples do; if so, that particle starts anew, at half the pace. At the end the best sample that does not is
    searched for among all that were made on the way.

    Attributes:
        tilt: the whole tilt, of ramp 1.
        model: whose denoising error is asked for.
        iterations, particles: K and N.
        noise: the keyed noise.
        rule: the settings.
    """

    tilt: Tilt
    model: Velocity
    iterations: int
    particles: int
    noise: Noise
    rule: TypicalOpt

    state = TypicalState

    @property
    def steps(self) -> int:
        return self.iterations

    @property
    def short(self) -> bool:
        return self.iterations < SHORT

    def start(self) -> TypicalState:
        z = self.noise.normal((self.particles, *self.model.shape), 0, "start")
        tilt = self.tilt.evaluate(z, 0.0, gradient=True)
        require_finite("the reward", tilt.reward, 0, self.noise.groups)
        assert tilt.sample is not None
        limit = self.surprise(tilt.sample).clamp_min(self.usual() * (LENIENT if self.short else 1.0))
        state = AscentState.start_from(z, tilt)
        samples, rewards = tilt.sample[:, :, None], tilt.reward[:, :, None]
        pace = torch.ones_like(limit)
        return TypicalState(**vars(state), limit=limit, pace=pace, samples=samples, rewards=rewards)

    def step(self, state: State) -> TypicalState:
        assert isinstance(state, TypicalState)
        z, momentum, pace = self.target(state)
        step = state.step + 1
        tilt = self.tilt.evaluate(z, 0.0, gradient=step < self.iterations)
        require_finite("the reward", tilt.reward, step, self.noise.groups)
        assert tilt.sample is not None
        samples = torch.cat([state.samples, tilt.sample[:, :, None]], dim=2)
        rewards = torch.cat([state.rewards, tilt.reward[:, :, None]], dim=2)
        later = replace(state, momentum=momentum, pace=pace, samples=samples, rewards=rewards)
        if step == self.iterations:
            later = self.looked_back(later)
        return later.moved(z, tilt, self.tilt.scale, self.iterations)

    def target(self, state: TypicalState) -> tuple[Tensor, Tensor, Tensor]:
        """Where the particles go next, with what momentum, ``(G, N, *D)`` each, and pace: up, or to a new start."""
        slope, here, pace = state.population.tilt.gradient, state.population.x, state.pace
        assert slope is not None
        z, momentum = self.rule.climb(here, state.momentum, slope)
        z = here + columns(pace, here) * (z - here)
        z = z * lengths(here) / lengths(z)
        if self.looks(state.step):
            lost = self.surprise(state.samples[:, :, -1]) > state.limit
            z = torch.where(columns(lost, z), self.noise.normal(z.shape[1:], state.step, "restart"), z)
            momentum = momentum.masked_fill(columns(lost, z), 0.0)
            pace = torch.where(lost, pace / 2, pace)
        return z, momentum, pace

    def looks(self, step: int) -> bool:
        """Whether the samples are looked at after ``step`` iterations; a new start must have as many before it."""
        return 0 < step <= self.iterations - self.rule.look_every and step % self.rule.look_every == 0

    def looked_back(self, state: TypicalState) -> TypicalState:
        """With the best sample within the limit that ``rule.looks_back`` looks find, of short runs fewer."""
        groups, particles = state.limit.shape

        def chosen(values: Tensor, index: Tensor) -> Tensor:
            return gather(values.flatten(0, 1), index.reshape(-1, 1)).reshape(groups, particles, *values.shape[3:])

        def within(index: Tensor) -> Tensor:
            return self.surprise(chosen(state.samples, index)) <= state.limit

        looks = min(self.rule.looks_back, self.iterations // 3 + 1)
        best = best_within(self.tilt.scale * state.rewards, within, looks)
        return replace(state, best_sample=chosen(state.samples, best), best_reward=chosen(state.rewards, best))

    def usual(self) -> float:
        """The denoising error that is still usual: what the model says of itself, or what a pilot finds.

        The same pilot for all groups, so that groups stay independent of each other given the seed.
        """
        known: float | None = getattr(self.model, "usual_error", None)
        if known is not None:
            return known
        pilot = replace(self.noise, groups=tuple(range(self.rule.pilot)))
        shape = (1, *self.model.shape)
        with torch.no_grad():
            z = pilot.normal(shape, 0, "pilot")
            samples = in_chunks(lambda x, t: self.tilt.look_ahead(x, t).sample, z, (0.0,), self.tilt.chunk)
            return usual_error(self.model, samples, pilot.normal((DRAWS, *shape), 0, "denoising"), self.tilt.chunk)

    @torch.no_grad()
    def surprise(self, samples: Tensor) -> Tensor:
        """The denoising error of ``samples (G, N, *D)`` by noise that stays the same through the run; ``(G, N)``."""
        draws = self.noise.normal((1 if self.short else DRAWS, *samples.shape[1:]), 0, "denoising")
        return denoising_error(self.model, samples, draws, self.tilt.chunk)


def best_within(values: Tensor, within: Callable[[Tensor], Tensor], looks: int) -> Tensor:
    """The index of the largest of ``values (G, N, M)`` that is ``within``, as far as some looks can tell; ``(G, N)``.

    Looks at the largest, then down in strides that grow, until one is within; then halves the gap to the one above that
    is not. Taken for granted is index 0 alone, which is the answer where no look finds better.

    Args:
        values: M of each particle.
        within: whether those at ``index (G, N)`` are; ``(G, N)``.
        looks: how often it is asked.
    """
    order = values.argsort(dim=2)
    low = start = (order == 0).long().argmax(dim=2)  # the highest rank that is known to be within
    high = torch.full_like(low, values.shape[2])  # the lowest rank above it that is not
    top = values.shape[2] - 1
    for look in range(looks):
        below = top - (REACH * (top - start) * (look / max(1, looks - 1)) ** 1.5).round().long()
        rank = torch.where((below <= low) | (below >= high), (low + high) // 2, below)
        good = within(order.gather(2, rank[:, :, None])[:, :, 0])
        high = torch.where(good | (rank <= low), high, rank)
        low = torch.where(good, rank, low)
    return order.gather(2, low[:, :, None])[:, :, 0]


@dataclass(frozen=True)
class TypicalOpt(Maximiser):
    """The settings.

    Attributes:
        climb: the optimiser.
        look_every: iterations after which who has left the model starts anew.
        looks_back: looks for the best sample at the end.
        pilot: how many own samples are drawn where the model does not know its usual error.
    """

    climb: Nesterov
    look_every: int
    looks_back: int
    pilot: int

    def __post_init__(self) -> None:
        whole_number("mode.look_every", self.look_every, 1)
        whole_number("mode.looks_back", self.looks_back, 1)
        whole_number("mode.pilot", self.pilot, 1)

    def loop(self, setting: Setting) -> TypicalAscent:
        steps = len(setting.times) - 1
        return TypicalAscent(setting.generator, setting.model, steps, setting.particles, setting.noise, self)
