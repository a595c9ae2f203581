"""The methods of FMTT and the base model: one function each, from settings to a method."""

from __future__ import annotations

from collections.abc import Sequence

from fmtt.checks import choice, fraction, rising_steps
from fmtt.methods.composition import Composition
from fmtt.methods.role import MAXIMISE
from fmtt.smc.resampling import RESAMPLERS, Resampler
from fmtt.smc.selection import KeepAll, ResampleAtSteps, ResampleOnEss, Selection, TopAndClone
from fmtt.step.field import LocalTilt
from fmtt.step.guidance import Guidance, TiltGradient, Window
from fmtt.step.weights import WEIGHTS, NoWeights, WeightRule
from fmtt.tilt.posterior import Posterior


def base() -> Composition:
    """The model itself: no guidance and equal weights. The reward is evaluated once, at the end."""
    return Composition(None, NoWeights(), KeepAll())


def local_tilt(samples: int = 32, snr_drop: float = 9.0) -> Composition:
    """The velocity of the exactly tilted path, estimated by ``samples`` look-aheads of each particle in each step.

    It uses no gradients, and serves for comparison. :mod:`fmtt.tilt.posterior` explains the arguments and the
    conditions under which the estimate is right.
    """
    return Composition(None, NoWeights(), KeepAll(), field=LocalTilt(Posterior(samples, snr_drop)))


def guidance(gradient: Guidance = TiltGradient(), window: Sequence[float] = (0.0, 1.0)) -> Composition:
    """The tilted dynamics without weights: biased, but cheap. Arguments as in :func:`importance`."""
    return Composition(gradient, NoWeights(), KeepAll(), window=Window.of(window))


def importance(
    weights: str | WeightRule = "auto",
    resampler: str = "systematic",
    ess_threshold: float = 0.5,
    resample_at: Sequence[int] | None = None,
    gradient: Guidance = TiltGradient(),
    window: Sequence[float] = (0.0, 1.0),
) -> Composition:
    """FMTT with weights. It samples the tilted law.

    Args:
        weights: ``auto``, ``jarzynski``, ``material`` or ``kernel`` (:mod:`fmtt.step.weights`), or weights of your own.
        resampler: ``systematic``, ``stratified``, ``residual``, ``multinomial`` or ``ssp``.
        ess_threshold: resample a group when its ESS is at most this fraction of N; 0 is never, 1 is always.
        resample_at: if given, resample all groups after these steps, counted from 1, whatever their ESS.
        gradient: the gradient of the tilt as guidance: raw, strengthened, clipped or normalised.
        window: the gradient is added in the steps that start between these two times.
    """
    chosen = WEIGHTS[choice("mode.weights", weights, WEIGHTS)]() if isinstance(weights, str) else weights
    choice("mode.resampler", resampler, RESAMPLERS)
    fraction("mode.ess_threshold", ess_threshold)
    scheme = RESAMPLERS[resampler]
    selection = ResampleOnEss(ess_threshold, scheme) if resample_at is None else fixed_steps(resample_at, scheme)
    return Composition(gradient, chosen, selection, window=Window.of(window))


def fixed_steps(at: Sequence[int], resampler: Resampler) -> Selection:
    """Resampling of all groups after the steps ``at``, counted from 1."""
    return ResampleAtSteps(rising_steps("mode.resample_at", at), resampler)


def tilted_ode(gradient: Guidance = TiltGradient(16.0), window: Sequence[float] = (0.0, 1.0)) -> Composition:
    """FMTT as a maximiser: the tilted dynamics with a gradient stronger than that of the tilted law.

    It is meant for dynamics without noise. The best particle of each group is returned.

    Args:
        gradient: the guidance. The drift is ``b + (eps + chi) gradient``; without noise it is ``b + chi gradient``.
        window: the gradient is added in the steps that start between these two times.
    """
    return Composition(gradient, NoWeights(), KeepAll(), role=MAXIMISE, window=Window.of(window))


def search(
    keep: int | None = None, rounds: int = 4, gradient: Guidance = TiltGradient(), window: Sequence[float] = (0.0, 1.0)
) -> Composition:
    """FMTT search: tilted dynamics; at ``rounds`` steps the ``keep`` best of a group are cloned to fill it."""
    return Composition(
        gradient, NoWeights(), TopAndClone(keep, rounds), role=MAXIMISE, parts_clones=True, window=Window.of(window)
    )
