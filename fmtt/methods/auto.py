"""What the cost-quality frontier recommends for maximising a reward (see docs/frontier.md)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from fmtt.look_ahead import LookAhead, require_generator
from fmtt.loop import Loop
from fmtt.methods.noise_opt import NoiseOpt
from fmtt.methods.rounds import MultiBestOfN
from fmtt.modes import best
from fmtt.noise import Noise
from fmtt.particles import Population
from fmtt.schedules import Epsilon
from fmtt.setting import Setting
from fmtt.validation import positive


def differentiable(setting: Setting) -> bool:
    """Whether the reward of the setting has a gradient; asks it about one sample."""
    with torch.enable_grad():
        x = torch.zeros(1, *setting.model.shape, device=setting.noise.device).requires_grad_()
        return bool(setting.tilt.reward(x).requires_grad)


@dataclass(frozen=True)
class Auto:
    """Noise ascent where the reward has a gradient, best-of-N in rounds where it has none; see :func:`auto`."""

    ascent: NoiseOpt
    rounds: MultiBestOfN = MultiBestOfN()

    weighted = spreads_families = False
    block = 1

    def loop(self, setting: Setting) -> Loop:
        chosen = self.ascent if differentiable(setting) else self.rounds
        return chosen.loop(setting)

    def choose(self, population: Population, noise: Noise) -> Tensor:
        return best(population)


def auto(look_ahead: LookAhead, epsilon: Epsilon, rate: float = 20.0) -> Auto:
    """The recommended way to a large reward, by the measured frontier: whatever the budget, work on the noise.

    Gradient ascent in noise space as in :func:`fmtt.methods.noise_opt.noise_opt`, by larger steps than ReNO, where the
    reward is differentiable; else best-of-N in rounds. ``sampler.steps`` iterations or rounds; a larger budget buys
    restarts, or more candidates a round. Ascent leaves the model where the reward contradicts the data.

    Args:
        look_ahead, epsilon: those of the run; one jump of the flow map is recommended, and there is no epsilon.
        rate: of the ascent, in lengths of the clipped gradient .1.
    """
    require_generator(look_ahead, "auto")
    positive("mode.rate", rate)
    return Auto(NoiseOpt(rate, momentum=0.9, clip=0.1, regularisation=0.01))
