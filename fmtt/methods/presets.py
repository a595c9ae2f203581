"""Modes are presets of the loop: which guidance, which weights, which selection, and what to return."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from torch import Tensor

from fmtt.checks import choice, fraction, whole_number
from fmtt.flow.noise import Noise
from fmtt.flow.schedules import Epsilon
from fmtt.methods.loop import Loop
from fmtt.methods.problem import Setting
from fmtt.methods.trajectory import Sampler
from fmtt.smc.population import Population, normalised_weights
from fmtt.smc.resampling import RESAMPLERS, Resampler, inverse_cdf, multinomial
from fmtt.smc.selection import ChooseAmongDuplicates, KeepAll, ResampleAtSteps, ResampleOnEss, Selection, TopAndClone
from fmtt.smc.tempering import Tempering
from fmtt.step.dynamics import Dynamics
from fmtt.step.field import Field, LocalTilt, ModelField
from fmtt.step.guidance import Guidance, NoGuidance, TiltGradient, Window, late
from fmtt.step.potentials import Difference, Potential
from fmtt.step.weights import Jarzynski, Kernel, Material, NoWeights, Weights
from fmtt.tilt.look_ahead import LookAhead
from fmtt.tilt.posterior import Posterior

WEIGHTS: dict[str, type[Weights]] = {"jarzynski": Jarzynski, "material": Material, "kernel": Kernel}


class Method(Protocol):
    """What a mode is to the engine."""

    @property
    def weighted(self) -> bool:
        """Whether the weights make the particles a sample of the tilted law."""
        ...

    @property
    def spreads_families(self) -> bool:
        """Whether resampling is multinomial, so that equal weights too have unequal numbers of offspring."""
        ...

    @property
    def block(self) -> int:
        """Particles come in multiples of this."""
        ...

    def loop(self, setting: Setting) -> Loop:
        """The method, ready to run.

        Raises:
            ValueError: if it does not fit the setting.
        """
        ...

    def choose(self, population: Population, noise: Noise) -> Tensor:
        """The index of the particle returned for each group, ``(G,)``."""
        ...


def best(population: Population) -> Tensor:
    """The particle of the largest tilt in each group, ``(G,)``."""
    return population.tilt.value.argmax(dim=1)


def drawn(population: Population, noise: Noise) -> Tensor:
    """A particle of each group drawn by weight, ``(G,)``, which keeps the law; that of the largest weight would not."""
    return inverse_cdf(normalised_weights(population.log_weights), noise.uniform((1,), 0, "choice"))[:, 0]


@dataclass(frozen=True)
class Mode:
    """A composition.

    Attributes:
        guidance: what is added to the drift.
        weights: what the move is worth.
        selection: what happens between steps.
        greedy: whether the particle returned for a group is its best; otherwise it is a draw by weight.
        field: the velocity that particles follow.
        potential: what the weights follow on the way.
        tempering: how much of the tilt is let in, or None for all of it.
        look_ahead: in the place of the configured one, or None.
        parts_clones: whether it lives on clones that noise must part.
    """

    guidance: Guidance
    weights: Weights
    selection: Selection
    greedy: bool = False
    field: Field = ModelField()
    potential: Potential = Difference()
    tempering: Tempering | None = None
    look_ahead: LookAhead | None = None
    parts_clones: bool = False

    @property
    def weighted(self) -> bool:
        return not isinstance(self.weights, NoWeights)

    @property
    def spreads_families(self) -> bool:
        selection = self.selection
        return isinstance(selection, ResampleOnEss | ResampleAtSteps) and selection.resampler is multinomial

    @property
    def block(self) -> int:
        return self.selection.duplicates if isinstance(self.selection, ChooseAmongDuplicates) else 1

    def loop(self, setting: Setting) -> Sampler:
        if setting.particles % self.block:
            raise ValueError(
                f"population.particles={setting.particles}: must be a multiple of mode.duplicates={self.block}"
            )
        tilt = setting.tilt if self.look_ahead is None else replace(setting.tilt, look_ahead=self.look_ahead)
        transport = setting.transport(setting.model)
        if self.parts_clones and setting.epsilon.vanishes and not transport.stochastic:
            raise ValueError("sampler.epsilon: the clones of this mode would stay together without noise; use linear")
        if setting.image is not None and self.weights.rates and not (setting.epsilon.vanishes and setting.chi.vanishes):
            raise ValueError(
                "sampler.start=image: noise keeps the law of the model, and that of the edits of a picture is another;"
                " use mode.weights=kernel, or sampler/epsilon=zero"
            )
        dynamics = Dynamics(
            setting.model, tilt, setting.epsilon, late(self.guidance, setting.times[0]), self.weights, transport,
            self.field, self.potential, setting.chi, setting.probes,
        )  # fmt: skip
        return Sampler(
            dynamics, self.selection, setting.times, setting.particles, setting.noise, self.tempering,
            setting.opening, setting.image,
        )  # fmt: skip

    def choose(self, population: Population, noise: Noise) -> Tensor:
        return best(population) if self.greedy else drawn(population, noise)


def base(look_ahead: LookAhead, epsilon: Epsilon) -> Mode:
    """The model itself: no guidance and equal weights; the reward is asked once, at the end."""
    return Mode(NoGuidance(), NoWeights(), KeepAll())


def local_tilt(look_ahead: LookAhead, epsilon: Epsilon, samples: int = 32, drop: float = 9.0) -> Mode:
    """The velocity of the exactly tilted path, by ``samples`` look-aheads of each particle in each step (no gradients).

    For comparison: see :mod:`fmtt.tilt.posterior` for the arguments and for where it is right.
    """
    return Mode(NoGuidance(), NoWeights(), KeepAll(), field=LocalTilt(Posterior(samples, drop)))


def windowed(gradient: Guidance, window: Sequence[float]) -> Guidance:
    """``gradient`` in the steps that start in ``window = (start, end)``."""
    if len(window) != 2:
        raise ValueError(f"mode.window={list(window)}: must be two increasing times in [0, 1]")
    start, end = window
    return gradient if (start, end) == (0, 1) else Window(gradient, start, end)


def guidance(
    look_ahead: LookAhead,
    epsilon: Epsilon,
    gradient: Guidance = TiltGradient(),
    window: Sequence[float] = (0.0, 1.0),
) -> Mode:
    """The tilted dynamics without weights: biased, and cheap; arguments as in :func:`importance`."""
    return Mode(windowed(gradient, window), NoWeights(), KeepAll())


def importance(
    look_ahead: LookAhead,
    epsilon: Epsilon,
    weights: str = "auto",
    resampler: str = "systematic",
    ess_threshold: float = 0.5,
    resample_at: Sequence[int] | None = None,
    gradient: Guidance = TiltGradient(),
    window: Sequence[float] = (0.0, 1.0),
) -> Mode:
    """FMTT with weights: samples the tilted law.

    Args:
        look_ahead, epsilon: those of the run; ``auto`` depends on them.
        weights: ``jarzynski``, ``material``, ``kernel``, or ``auto``: ``jarzynski`` for a flow map and its unmodified
            gradient, else ``kernel``, or ``material`` where there is no noise.
        resampler: ``systematic``, ``stratified``, ``residual``, ``multinomial`` or ``ssp``.
        ess_threshold: resample a group when its ESS is at most this fraction of N; 0 is never, 1 is always.
        resample_at: resample all groups after these steps, counted from 1, instead.
        gradient: what becomes of the gradient of the tilt: as it is, clipped or normalised.
        window: the gradient enters the steps that start between these two times.
    """
    choice("mode.weights", weights, ("auto", *WEIGHTS))
    choice("mode.resampler", resampler, RESAMPLERS)
    fraction("mode.ess_threshold", ess_threshold)
    guide = windowed(gradient, window)
    if weights == "auto":
        exact = look_ahead.transported and (guide.raw or epsilon.vanishes)
        weights = "jarzynski" if exact else "material" if epsilon.vanishes else "kernel"
    scheme = RESAMPLERS[resampler]
    selection = ResampleOnEss(ess_threshold, scheme) if resample_at is None else fixed_steps(resample_at, scheme)
    return Mode(guide, WEIGHTS[weights](), selection)


def fixed_steps(at: Sequence[int], resampler: Resampler) -> Selection:
    """Resampling after the steps ``at``."""
    return ResampleAtSteps(tuple(whole_number("mode.resample_at", step, 1) for step in at), resampler)


def tilted_ode(
    look_ahead: LookAhead,
    epsilon: Epsilon,
    gradient: Guidance = TiltGradient(16.0),
    window: Sequence[float] = (0.0, 1.0),
) -> Mode:
    """FMTT as a maximiser: the tilted dynamics, meant without noise, pushed harder than its law asks; returns the best.

    Args:
        look_ahead, epsilon: those of the run.
        gradient: the push; the drift is ``b + (eps + chi) gradient``, of which ``chi`` is left without noise.
        window: the gradient enters the steps that start between these two times.
    """
    return Mode(windowed(gradient, window), NoWeights(), KeepAll(), greedy=True)


def search(
    look_ahead: LookAhead,
    epsilon: Epsilon,
    keep: int = 4,
    rounds: int = 4,
    gradient: Guidance = TiltGradient(),
    window: Sequence[float] = (0.0, 1.0),
) -> Mode:
    """FMTT search: tilted dynamics; at ``rounds`` steps the ``keep`` best of a group are cloned to fill it."""
    return Mode(windowed(gradient, window), NoWeights(), TopAndClone(keep, rounds), greedy=True)
