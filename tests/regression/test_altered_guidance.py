"""The weight stayed "reward times dt" also when the drift was another one, for which that rule does not hold.

Short and material weights refuse any guidance but the gradient itself wherever there is noise; kernel weights are exact
for clipped, normalised or absent guidance, and for one that has nothing to do with the reward.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from fmtt.flow.schedules import ZeroEpsilon
from fmtt.methods import presets as modes
from fmtt.methods.composition import Composition
from fmtt.methods.trajectory import Trajectory
from fmtt.step.guidance import ClippedGradient, Guidance, NormalisedGradient, TiltGradient, Vantage
from fmtt.step.needs import GRADIENT
from fmtt.step.weights import WEIGHTS, Jarzynski, Moves, Weights
from tests.gaussian_chain import reference
from tests.support import Setup, last, worst


class Altered:
    """A guidance made from the gradient."""

    invariant = False
    needs = GRADIENT

    def __init__(self, change):
        self.change = change

    def __call__(self, at: Vantage) -> Tensor:
        return self.change(at.gradient)


ALWAYS = (0.0, 1.0)
GUIDANCES: dict[str, tuple[Guidance | None, tuple[float, float]]] = {
    "strengthened": (TiltGradient(1.5), ALWAYS),
    "clipped": (ClippedGradient(0.3), ALWAYS),
    "normalised": (NormalisedGradient(1.0), ALWAYS),
    "windowed": (TiltGradient(), (0.2, 0.6)),
    "constant": (Altered(lambda g: torch.ones_like(g) * torch.tensor([0.5, -0.4])), ALWAYS),
    "wrong way": (Altered(lambda g: -0.5 * g), ALWAYS),
    "absent": (None, ALWAYS),
}


def guided(name: str, weights: str | Weights) -> Composition:
    guidance, window = GUIDANCES[name]
    setup = Setup()
    mode = modes.importance(weights, setup.resampler, setup.ess_threshold, window=window)
    return replace(mode, guidance=guidance)


def with_guidance(setup: Setup, name: str, weights: str | Weights) -> Trajectory:
    return guided(name, weights).loop(setup.problem)


@pytest.mark.parametrize("name", GUIDANCES)
def test_kernel_weights_are_right_for_any_guidance(name: str) -> None:
    setup = Setup(weights="kernel", look_ahead="denoiser", seed=12)
    assert worst(last(with_guidance(setup, name, "kernel")).population, reference(setup)) < 4


@pytest.mark.parametrize("weights", ["jarzynski", "material"])
@pytest.mark.parametrize("name", GUIDANCES)
def test_other_weights_refuse(name: str, weights: str) -> None:
    with pytest.raises(
        ValueError, match=f"mode.weights={weights}: needs the unmodified gradient.*use mode.weights=kernel"
    ):
        with_guidance(Setup(), name, weights)
    silent = with_guidance(Setup(epsilon=ZeroEpsilon()), name, weights).dynamics
    assert isinstance(silent.weights, WEIGHTS[weights])


@pytest.mark.parametrize("name", GUIDANCES)
def test_weights_that_choose_for_themselves_choose_the_kernel(name: str) -> None:
    assert isinstance(with_guidance(Setup(), name, "auto").dynamics.weights, WEIGHTS["kernel"])


def test_short_weights_would_be_wrong_for_them() -> None:
    """What is refused is refused with reason."""

    class Unchecked(Jarzynski):
        def fitted(self, moves: Moves) -> Unchecked:
            return self

    setup = Setup(weights="jarzynski", seed=12)
    for name in ("clipped", "absent"):
        wrong = with_guidance(setup, name, Unchecked())
        assert worst(last(wrong).population, reference(setup)) > 6
