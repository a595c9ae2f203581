"""A maximiser for any reward that stays within the model (measured in docs/frontier.md)."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from fmtt.look_ahead import LookAhead, require_generator
from fmtt.loop import Loop
from fmtt.methods.ascent import Nesterov
from fmtt.methods.maximiser import Maximiser
from fmtt.methods.rounds import MultiBestOfN
from fmtt.methods.typical_ascent import TypicalOpt
from fmtt.schedules import Epsilon
from fmtt.setting import Setting


def differentiable(setting: Setting) -> bool:
    """Whether the reward of the setting has a gradient; asks it about one sample."""
    with torch.enable_grad():
        x = torch.zeros(1, *setting.model.shape, device=setting.noise.device).requires_grad_()
        return bool(setting.tilt.reward(x).requires_grad)


@dataclass(frozen=True)
class Auto(Maximiser):
    """Typical ascent where the reward has a gradient, best-of-N in rounds where it has none; see :func:`auto`."""

    ascent: TypicalOpt
    rounds: MultiBestOfN = MultiBestOfN()

    def loop(self, setting: Setting) -> Loop:
        chosen = self.ascent if differentiable(setting) else self.rounds
        return chosen.loop(setting)


def auto(
    look_ahead: LookAhead,
    epsilon: Epsilon,
    rate: float = 20.0,
    nats: float = 50.0,
    quantile: float = 0.75,
    pilot: int = 16,
) -> Auto:
    """Toward a large reward that is still a sample of the model, on the noise of a generator.

    Where the reward is differentiable, ascent in noise space that stays near its start, and where the model's
    denoising error at the sample is one that its own samples have. Else best-of-N in rounds. ``sampler.steps``
    iterations or rounds; a larger budget buys restarts, or more candidates a round.

    Args:
        look_ahead, epsilon: those of the run; one jump of the flow map is meant, and there is no epsilon.
        rate: of the ascent, in lengths of the clipped gradient .1.
        nats: how far a particle may go, ``|z - z_0|^2 / 2``: to shift the noise so far costs that much entropy.
        quantile: of the denoising errors of the model's own samples; more is not allowed, unless it started so.
        pilot: how many own samples are drawn to find it, once for all groups.
    """
    require_generator(look_ahead, "auto")
    return Auto(TypicalOpt(Nesterov(rate, momentum=0.9, clip=0.1), nats, quantile, pilot))
