"""Modes are presets of the loop: which guidance, which weights, which selection, and what to return."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from fmtt.dynamics import Guidance, Jarzynski, Kernel, Material, NoGuidance, NoWeights, TiltGradient, Weights
from fmtt.look_ahead import LookAhead
from fmtt.noise import Noise
from fmtt.particles import Population, normalised_weights
from fmtt.resampling import RESAMPLERS, inverse_cdf
from fmtt.schedules import Epsilon
from fmtt.selection import KeepAll, ResampleOnEss, Selection, TopAndClone
from fmtt.validation import choice, fraction

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
        looks_ahead: whether the look-ahead is asked at all; if not, no network call is spent on it.
    """

    guidance: Guidance
    weights: Weights
    selection: Selection
    greedy: bool = False
    looks_ahead: bool = True

    def choose(self, population: Population, noise: Noise) -> Tensor:
        """The index of the particle returned for each group, ``(G,)``."""
        if self.greedy:
            return population.tilt.value.argmax(dim=1)
        u = noise.uniform((1,), 0, "choice")
        return inverse_cdf(normalised_weights(population.log_weights), u)[:, 0]


def base(look_ahead: LookAhead, epsilon: Epsilon) -> Mode:
    """The model itself: no guidance, equal weights, and no look-ahead; rewards on the way are those of ``x_t``."""
    return Mode(NoGuidance(), NoWeights(), KeepAll(), looks_ahead=False)


def guidance(look_ahead: LookAhead, epsilon: Epsilon) -> Mode:
    """The tilted dynamics without weights: biased, and cheap."""
    return Mode(TiltGradient(), NoWeights(), KeepAll())


def importance(
    look_ahead: LookAhead,
    epsilon: Epsilon,
    weights: str = "auto",
    resampler: str = "systematic",
    ess_threshold: float = 0.5,
) -> Mode:
    """FMTT with weights: samples the tilted law.

    Args:
        look_ahead, epsilon: those of the run; ``auto`` depends on them.
        weights: ``jarzynski``, ``material``, ``kernel``, or ``auto``: ``jarzynski`` for a flow map, else ``kernel``, or
            ``material`` where there is no noise.
        resampler: ``systematic``, ``stratified``, ``residual``, ``multinomial`` or ``ssp``.
        ess_threshold: resample a group when its ESS is at most this fraction of N; 0 is never, 1 is always.
    """
    choice("mode.weights", weights, ("auto", *WEIGHTS))
    choice("mode.resampler", resampler, RESAMPLERS)
    fraction("mode.ess_threshold", ess_threshold)
    if weights == "auto":
        weights = "jarzynski" if look_ahead.transported else "material" if epsilon.vanishes else "kernel"
    return Mode(TiltGradient(), WEIGHTS[weights](), ResampleOnEss(ess_threshold, RESAMPLERS[resampler]))


def search(look_ahead: LookAhead, epsilon: Epsilon, keep: int = 4, rounds: int = 4) -> Mode:
    """FMTT search: tilted dynamics; at ``rounds`` steps the ``keep`` best of a group are cloned to fill it."""
    return Mode(TiltGradient(), NoWeights(), TopAndClone(keep, rounds), greedy=True)
