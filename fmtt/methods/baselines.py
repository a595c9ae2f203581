"""Published baselines as presets of the same engine. Each names its paper and the differences from it."""

from __future__ import annotations

from collections.abc import Sequence

from fmtt.checks import choice, switch
from fmtt.methods.composition import Composition
from fmtt.methods.role import HEAVIEST, MAXIMISE, SAMPLE
from fmtt.smc.potentials import POTENTIALS
from fmtt.smc.resampling import RESAMPLERS
from fmtt.smc.selection import ChooseAmongDuplicates, KeepAll, KeepBest, ResampleOnEss, TopAndClone
from fmtt.smc.tempering import EssTempering
from fmtt.step.guidance import LikeVelocity, TiltGradient, ValueGradient, ValueTerms, Window
from fmtt.step.weights import Kernel, NoWeights
from fmtt.tilt.look_ahead import WithoutJacobian
from fmtt.tilt.posterior import Posterior


def best_of_n() -> Composition:
    """The best of N samples of the model. The reward is evaluated once, at the end.

    The sampler decides how samples are drawn: by jumps of the flow map (``sampler/transport=flowmap
    sampler/epsilon=zero``, the preset), by the ODE (``sampler/transport=euler sampler/epsilon=zero``) or by the SDE
    (``sampler/epsilon=linear``).
    """
    return Composition(None, NoWeights(), KeepAll(), role=MAXIMISE)


def reweight() -> Composition:
    """Importance sampling from the base model: samples of the model with the weights ``exp(scale r(x_1))``.

    The baseline of every exact method. The reward is called once, at the end.
    """
    return Composition(None, Kernel(), KeepAll())


def beam(keep: int | None = None, rounds: int = 4) -> Composition:
    """Beam search: at ``rounds`` steps the ``keep`` best of a group by look-ahead are cloned to fill it.

    It uses no gradients. Clones differ only by the noise of the SDE, so epsilon must not be zero. This is a baseline
    of arXiv 2511.22688; its settings there are not public.
    """
    return Composition(None, NoWeights(), TopAndClone(keep, rounds), role=MAXIMISE, parts_clones=True)


def fk_steering(
    potential: str = "difference",
    resampler: str = "multinomial",
    ess_threshold: float = 1.0,
    interval: int = 4,
) -> Composition:
    """Feynman-Kac steering (arXiv 2501.06848): the base SDE, resampled on potentials of the look-ahead's reward.

    It uses no gradients. As in the paper, the look-ahead is the denoiser and the whole tilt is in force from the start
    (``sampler/beta=from``). The defaults are those of the published code: every ``interval`` steps it always resamples
    (``ess_threshold=1``), by ``multinomial``. One difference: a group that is not resampled keeps its weights here; the
    published code drops them.

    Args:
        potential: ``difference``, ``max`` or ``sum``.
        resampler: ``systematic``, ``stratified``, ``residual``, ``multinomial`` or ``ssp``.
        ess_threshold: resample a group when its ESS is at most this fraction of N.
        interval: steps between two resamplings.
    """
    choice("mode.potential", potential, POTENTIALS)
    choice("mode.resampler", resampler, RESAMPLERS)
    selection = ResampleOnEss(ess_threshold, RESAMPLERS[resampler], interval)
    return Composition(None, Kernel(), selection, potential=POTENTIALS[potential]())


def tds(resampler: str = "systematic", ess_threshold: float = 0.5) -> Composition:
    """Twisted diffusion sampler (arXiv 2306.17775): the denoiser's gradient, and the weights of the finite chain.

    The paper's twisting function is a likelihood at the denoiser; here it is ``exp(r)``. The ramp ``sampler.beta`` is
    an addition of this package.
    """
    choice("mode.resampler", resampler, RESAMPLERS)
    return Composition(TiltGradient(), Kernel(), ResampleOnEss(ess_threshold, RESAMPLERS[resampler]))


def das(
    tempering: float = 0.9,
    resampler: str = "ssp",
    ess_threshold: float = 0.5,
    heaviest: bool = False,
) -> Composition:
    """DAS (arXiv 2501.05803): TDS with tempering by effective sample size, and SSP resampling.

    In each step the tilt grows as far as a conditional ESS of ``tempering`` N allows, but never above the ramp. In the
    last step it is 1. The published code finds the scale by 500 steps of Adam; here it is found by bisection. That code
    returns the particle of the largest weight, as here with ``heaviest``; by default the sample is drawn by weight.
    """
    choice("mode.resampler", resampler, RESAMPLERS)
    selection = ResampleOnEss(ess_threshold, RESAMPLERS[resampler])
    role = HEAVIEST if switch("mode.heaviest", heaviest) else SAMPLE
    return Composition(TiltGradient(), Kernel(), selection, role, tempering=EssTempering(tempering))


def svdd(duplicates: int = 4, greedy: bool = False) -> Composition:
    """SVDD (arXiv 2408.08252): after every step one of ``duplicates`` proposals from each parent survives.

    The survivor is drawn with probability proportional to ``exp(r_t)``, or with ``greedy`` it is the best, as in the
    published code for images. ``r_t`` is the reward at the look-ahead, which is the paper's variant without training.
    Proposals of different parents do not compete, so the method is biased. One difference: the ``duplicates`` proposals
    of the first step start from different noise here; in the paper they have one parent.
    """
    selection = ChooseAmongDuplicates(duplicates, switch("mode.greedy", greedy))
    return Composition(None, NoWeights(), selection, role=MAXIMISE, parts_clones=True)


def fmrg(
    jacobian: bool = True,
    factor: float = 2.0,
    window: Sequence[float] = (0.0, 0.25),
    warmup: int | None = None,
) -> Composition:
    """Flow-map reward guidance (arXiv 2604.27147): one trajectory, guided by the gradient of the reward at its landing.

    It is FMRG-J, or FMRG-E without the ``jacobian`` of the look-ahead. The gradient is scaled to ``factor`` times the
    norm of the velocity, and is added in early steps only. A step is ``X_{t,t'}(x + dt g)``, with one gradient; with
    ``sampler/transport=landing`` it goes along the look-ahead, as the cheap variant of the published code. After the
    window that code jumps to the end: ``sampler/grid=early_stop``.

    Args:
        jacobian: FMRG-J; False is FMRG-E.
        factor: length of the guidance, in lengths of the velocity.
        window: guidance acts in the steps that start between these two times.
        warmup: steps after which only the best of the particles goes on; None if all go to the end.
    """
    selection = KeepAll() if warmup is None else KeepBest(warmup)
    return Composition(
        LikeVelocity(factor), NoWeights(), selection, role=MAXIMISE, window=Window.of(window),
        change_look_ahead=None if switch("mode.jacobian", jacobian) else WithoutJacobian,
    )  # fmt: skip


def diamond(
    samples: int = 4,
    snr_drop: float = 3.0,
    window: Sequence[float] = (0.0, 1.0),
    length: float | None = None,
) -> Composition:
    """Weighted Diamond Maps guidance (arXiv 2602.05993): the drift ``b + chi grad V_t`` with a value by samples.

    ``chi = (1 - t) / t``; ``sampler/chi=paper`` keeps it finite at the start. The samples have the complete weights of
    the paper. The method samples the tilted law in the limit of many ``samples`` and steps. The published code has
    weights ``softmax(r)`` and brings each of three terms of the gradient to one length, which is biased.

    Args:
        samples: renoised look-aheads of each particle.
        snr_drop: factor by which renoising lowers the signal-to-noise ratio.
        window: guidance acts in the steps that start between these two times.
        length: that of the three terms of the published code, which has 20; None for the gradient of the paper.
    """
    posterior = Posterior(samples, snr_drop)
    guidance = ValueGradient(posterior) if length is None else ValueTerms(posterior, length)
    return Composition(guidance, NoWeights(), KeepAll(), window=Window.of(window))
