"""The weight stayed "reward times dt" also when the drift was another one, for which that rule does not hold.

Short and material weights refuse any guidance but the gradient itself wherever there is noise; kernel weights are exact
for clipped, normalised or absent guidance, and for one that has nothing to do with the reward.
"""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from fmtt.flow.schedules import ZeroEpsilon
from fmtt.step.guidance import (
    ClippedGradient,
    NoGuidance,
    NormalisedGradient,
    TiltGradient,
    Vantage,
    Window,
)  # fmt: skip
from fmtt.step.weights import Jarzynski, Material
from tests.gaussian_chain import reference
from tests.support import Setup, last, worst


class Altered:
    """A guidance made from the gradient."""

    raw = uses_velocity = False
    uses_gradient = True
    samples = 0

    def __init__(self, change):
        self.change = change

    def active(self, t: float) -> bool:
        return True

    def __call__(self, at: Vantage) -> Tensor:
        return self.change(at.gradient)


GUIDANCES = {
    "strengthened": TiltGradient(1.5),
    "clipped": ClippedGradient(0.3),
    "normalised": NormalisedGradient(1.0),
    "windowed": Window(TiltGradient(), 0.2, 0.6),
    "constant": Altered(lambda g: torch.ones_like(g) * torch.tensor([0.5, -0.4])),
    "wrong way": Altered(lambda g: -0.5 * g),
    "absent": NoGuidance(),
}


def with_guidance(setup: Setup, name: str):
    sampler = setup.loop()
    return replace(sampler, dynamics=replace(sampler.dynamics, guidance=GUIDANCES[name]))


@pytest.mark.parametrize("name", GUIDANCES)
def test_kernel_weights_are_right_for_any_guidance(name: str) -> None:
    setup = Setup(weights="kernel", look_ahead="denoiser", seed=12)
    assert worst(last(with_guidance(setup, name)).population, reference(setup)) < 4


@pytest.mark.parametrize("weights", [Jarzynski(), Material()], ids=["jarzynski", "material"])
@pytest.mark.parametrize("name", GUIDANCES)
def test_other_weights_refuse(name: str, weights) -> None:
    dynamics = Setup(weights="jarzynski").loop().dynamics
    kind = type(weights).__name__.lower()
    with pytest.raises(
        ValueError, match=f"mode.weights={kind}: needs the unmodified gradient.*use mode.weights=kernel"
    ):
        replace(dynamics, guidance=GUIDANCES[name], weights=weights)
    assert replace(dynamics, guidance=GUIDANCES[name], weights=weights, epsilon=ZeroEpsilon()).epsilon.vanishes


def test_short_weights_would_be_wrong_for_them() -> None:
    """What is refused is refused with reason."""

    class Unchecked(Jarzynski):
        def check(self, look_ahead: object, guidance: object, epsilon: object, chi: object) -> None:
            pass

    setup = Setup(weights="jarzynski", seed=12)
    sampler = setup.loop()
    for name in ("clipped", "absent"):
        wrong = replace(sampler, dynamics=replace(sampler.dynamics, guidance=GUIDANCES[name], weights=Unchecked()))
        assert worst(last(wrong).population, reference(setup)) > 6
