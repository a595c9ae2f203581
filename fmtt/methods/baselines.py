"""Published baselines as presets of the one engine. Each says what paper it follows, and where it deviates."""

from __future__ import annotations

from collections.abc import Sequence

from fmtt.checks import choice
from fmtt.methods.composition import Composition
from fmtt.smc.potentials import POTENTIALS
from fmtt.smc.resampling import RESAMPLERS
from fmtt.smc.selection import ChooseAmongDuplicates, KeepAll, ResampleOnEss, TopAndClone
from fmtt.smc.tempering import EssTempering
from fmtt.step.guidance import LikeVelocity, TiltGradient, ValueGradient, Window
from fmtt.step.weights import Kernel, NoWeights
from fmtt.tilt.look_ahead import WithoutJacobian
from fmtt.tilt.posterior import Posterior


def best_of_n() -> Composition:
    """The best of N samples of the model, which is asked for nothing on the way.

    What a sample is, the sampler says: jumps of the flow map (``sampler/transport=flowmap sampler/epsilon=zero``, the
    preset), the ODE (``sampler/transport=euler sampler/epsilon=zero``) or the SDE (``sampler/epsilon=linear``).
    """
    return Composition(None, NoWeights(), KeepAll(), greedy=True)


def beam(keep: int = 4, rounds: int = 4) -> Composition:
    """Beam search: at ``rounds`` steps the ``keep`` best of a group by look-ahead are cloned to fill it.

    Clones part by the noise of the SDE, so it needs some; without gradients. The baseline of arXiv 2511.22688, whose
    settings are not public.
    """
    return Composition(None, NoWeights(), TopAndClone(keep, rounds), greedy=True, parts_clones=True)


def fk_steering(
    potential: str = "difference",
    resampler: str = "multinomial",
    ess_threshold: float = 1.0,
    interval: int = 4,
) -> Composition:
    """Feynman-Kac steering (arXiv 2501.06848): the base SDE, resampled on potentials of the look-ahead's reward.

    No gradients. The paper's look-ahead is the denoiser, and its tilt is in force from the start
    (``sampler/beta=from``). Every ``interval`` steps, where its published code resamples always (``ess_threshold=1``)
    and by ``multinomial``; weights that are not used up are carried, which that code forgets.

    Args:
        potential: ``difference``, ``max`` or ``sum``.
        resampler: ``systematic``, ``stratified``, ``residual``, ``multinomial`` or ``ssp``.
        ess_threshold: resample a group when its ESS is at most this fraction of N.
        interval: steps between looks.
    """
    choice("mode.potential", potential, POTENTIALS)
    choice("mode.resampler", resampler, RESAMPLERS)
    selection = ResampleOnEss(ess_threshold, RESAMPLERS[resampler], interval)
    return Composition(None, Kernel(), selection, potential=POTENTIALS[potential]())


def tds(resampler: str = "systematic", ess_threshold: float = 0.5) -> Composition:
    """Twisted diffusion sampler (arXiv 2306.17775): the denoiser's gradient, and the weights of the finite chain.

    Its twisting function is a likelihood at the denoiser, here ``exp(r)``; the ramp ``sampler.beta`` is ours.
    """
    choice("mode.resampler", resampler, RESAMPLERS)
    return Composition(TiltGradient(), Kernel(), ResampleOnEss(ess_threshold, RESAMPLERS[resampler]))


def das(
    tempering: float = 0.9,
    resampler: str = "ssp",
    ess_threshold: float = 0.5,
) -> Composition:
    """DAS (arXiv 2501.05803): TDS with tempering by effective sample size, and SSP resampling.

    The tilt grows as far as a conditional ESS of ``tempering`` N allows, never above the ramp, and to 1 in the last
    step. The scale is found by bisection, where the published code takes 500 steps of Adam; the returned sample is a
    draw by weight, where that code returns the particle of the largest weight.
    """
    choice("mode.resampler", resampler, RESAMPLERS)
    selection = ResampleOnEss(ess_threshold, RESAMPLERS[resampler])
    return Composition(TiltGradient(), Kernel(), selection, tempering=EssTempering(tempering))


def svdd(duplicates: int = 4, greedy: bool = False) -> Composition:
    """SVDD (arXiv 2408.08252): after every step one of ``duplicates`` proposals from each parent survives.

    It is drawn by ``exp(r_t)``, the value being the reward at the look-ahead (the paper's variant without training), or
    is the best where ``greedy``, as in its published code for images. Families do not compete, so it is biased. The
    members of a family start from different noise, where the paper's first parent is one.
    """
    return Composition(None, NoWeights(), ChooseAmongDuplicates(duplicates, greedy), greedy=True, parts_clones=True)


def fmrg(
    jacobian: bool = True,
    factor: float = 2.0,
    window: Sequence[float] = (0.0, 0.25),
) -> Composition:
    """Flow-map reward guidance (arXiv 2604.27147): one trajectory, pushed along the gradient of its landing's reward.

    FMRG-J, or FMRG-E without the ``jacobian`` of the look-ahead. The gradient is brought to ``factor`` times the length
    of the velocity and enters early only. Steps are ``X_{t,t'}(x + dt g)``; one gradient a step, and no restarts of the
    first steps, of which the paper makes two or three.
    """
    return Composition(
        LikeVelocity(factor), NoWeights(), KeepAll(), greedy=True, window=Window.of(window),
        change_look_ahead=None if jacobian else WithoutJacobian,
    )  # fmt: skip


def diamond(
    samples: int = 4,
    snr_drop: float = 3.0,
    window: Sequence[float] = (0.0, 1.0),
) -> Composition:
    """Weighted Diamond Maps guidance (arXiv 2602.05993): the drift ``b + chi grad V_t`` with a value by samples.

    ``chi = (1 - t) / t`` (``sampler/chi=paper`` keeps it finite at the start). The weights of the samples are the full
    ones, which that paper derives; its code takes ``softmax(r)`` and normalises three terms of the gradient, which is
    biased. Samples the tilted law as ``samples`` and steps grow.

    Args:
        samples: renoised look-aheads of each particle.
        snr_drop: factor by which their signal-to-noise ratio falls.
        window: guidance enters the steps that start between these two times.
    """
    guidance = ValueGradient(Posterior(samples, snr_drop))
    return Composition(guidance, NoWeights(), KeepAll(), window=Window.of(window))
