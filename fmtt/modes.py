"""Modes are presets of the loop: which guidance, which weights, which selection, and what to return."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from fmtt.field import Field, LocalTilt, ModelField
from fmtt.guidance import Guidance, NoGuidance, TiltGradient, Window
from fmtt.look_ahead import LookAhead
from fmtt.noise import Noise
from fmtt.particles import Population, normalised_weights
from fmtt.resampling import RESAMPLERS, Resampler, inverse_cdf, multinomial
from fmtt.schedules import Epsilon
from fmtt.selection import KeepAll, ResampleAtSteps, ResampleOnEss, Selection, TopAndClone
from fmtt.validation import choice, fraction, whole_number
from fmtt.weights import Jarzynski, Kernel, Material, NoWeights, Weights

WEIGHTS: dict[str, type[Weights]] = {"jarzynski": Jarzynski, "material": Material, "kernel": Kernel}


@dataclass(frozen=True)
class Mode:
    """A composition.

    Attributes:
        guidance: what is added to the drift.
        weights: what the move is worth.
        selection: what happens between steps.
        greedy: whether the particle returned for a group is its best; otherwise it is a draw by weight, which keeps
            the law (returning the largest weight would not).
        field: the velocity that particles follow.
        looks_ahead: whether the look-ahead is asked at all; if not, no network call is spent on it.
    """

    guidance: Guidance
    weights: Weights
    selection: Selection
    greedy: bool = False
    field: Field = ModelField()
    looks_ahead: bool = True

    @property
    def weighted(self) -> bool:
        """Whether the weights make the particles a sample of the tilted law."""
        return not isinstance(self.weights, NoWeights)

    @property
    def spreads_families(self) -> bool:
        """Whether resampling is multinomial, so that equal weights too have unequal numbers of offspring."""
        selection = self.selection
        return isinstance(selection, ResampleOnEss | ResampleAtSteps) and selection.resampler is multinomial

    def choose(self, population: Population, noise: Noise) -> Tensor:
        """The index of the particle returned for each group, ``(G,)``."""
        if self.greedy:
            return population.tilt.value.argmax(dim=1)
        u = noise.uniform((1,), 0, "choice")
        return inverse_cdf(normalised_weights(population.log_weights), u)[:, 0]


def base(look_ahead: LookAhead, epsilon: Epsilon) -> Mode:
    """The model itself: no guidance, equal weights, and no look-ahead; rewards on the way are those of ``x_t``."""
    return Mode(NoGuidance(), NoWeights(), KeepAll(), looks_ahead=False)


def local_tilt(look_ahead: LookAhead, epsilon: Epsilon, samples: int = 32, drop: float = 9.0) -> Mode:
    """The velocity of the exactly tilted path, by ``samples`` look-aheads of each particle in each step (no gradients).

    For comparison: see :class:`fmtt.field.LocalTilt` for the arguments and for where it is right.
    """
    return Mode(NoGuidance(), NoWeights(), KeepAll(), field=LocalTilt(samples, drop))


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
