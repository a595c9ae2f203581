"""The extra drift ``chi grad r_t`` (Prop. A.1, Cor. A.2) and its weight, Laplacian included."""

from dataclasses import dataclass, replace
from functools import partial

import pytest
import torch

from fmtt.flow import noise
from fmtt.flow.batches import Batches
from fmtt.flow.schedules import ConstantEpsilon, PowerEpsilon, PowerRamp, RegularisedChi, ZeroChi, ZeroEpsilon
from fmtt.methods import presets as modes
from fmtt.step.dynamics import Draws, Dynamics
from fmtt.step.guidance import ClippedGradient, TiltGradient, Window
from fmtt.step.transport import Euler
from fmtt.step.weights import Jarzynski, Kernel, Material
from fmtt.tilt.look_ahead import Denoiser, FlowMapJumps
from fmtt.tilt.tilt import Tilt
from tests.gaussian_chain import reference
from tests.step.one_step import look, step
from tests.support import GAUSSIAN, MIXTURE, REWARDS, Setup, deviations, last, standardised, worst

MILD = RegularisedChi(0.7, 0.3)
X = noise.normal((2, 6, 2), 0, "x").double()


def tilt(look_ahead=Denoiser, model=MIXTURE) -> Tilt:
    return Tilt(model, look_ahead, REWARDS["quadratic"], 1.3, PowerRamp(), Batches(5))


def second_differences(of: Tilt, x: torch.Tensor, t: float, h: float = 1e-4) -> torch.Tensor:
    """The Laplacian by central differences."""
    total = torch.zeros(x.shape[:2], dtype=torch.float64)
    for d in range(x.shape[-1]):
        shift = h * torch.eye(x.shape[-1], dtype=x.dtype)[d]
        ahead, here, behind = (of.evaluate(x + k * shift, t, gradient=False).value for k in (1, 0, -1))
        total += (ahead - 2 * here + behind) / h**2
    return total


@pytest.mark.parametrize("look_ahead", [Denoiser, partial(FlowMapJumps, steps=2)], ids=["denoiser", "map"])
def test_laplacian_is_that_of_the_tilt(look_ahead) -> None:
    of = tilt(look_ahead)
    torch.testing.assert_close(of.laplacian(X, 0.4, None), second_differences(of, X, 0.4), rtol=1e-3, atol=1e-3)


def test_probes_estimate_the_laplacian_without_bias() -> None:
    """All sign vectors together give it exactly; a single one does not."""
    of, exact = tilt(), tilt().laplacian(X, 0.4, None)
    signs = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0], dtype=torch.float64)] * 2)
    probes = signs[None, :, None].expand(2, 4, 6, 2)
    torch.testing.assert_close(of.laplacian(X, 0.4, probes), exact)
    assert (of.laplacian(X, 0.4, probes[:, :1]) - exact).abs().max() > 1e-2


def test_move_has_the_extra_drift_and_the_increment_its_weight() -> None:
    t, then, chi = 0.3, 0.34, MILD(0.34)
    of = tilt(partial(FlowMapJumps, steps=1))
    plain = Dynamics(MIXTURE, of, ZeroEpsilon(), TiltGradient(), Jarzynski(), Euler(MIXTURE))
    extra = replace(plain, chi=MILD)
    before = look(extra, X, t, then)
    assert look(plain, X, t, then).gradient is None
    moves = [step(d, X, before, (t, then), Draws()) for d in (plain, extra)]
    torch.testing.assert_close(moves[1].x - moves[0].x, (then - t) * chi * before.gradient)
    velocity = extra.velocity(X, t)
    score = (t * velocity - X) / (1 - t)
    rate = of.laplacian(X, t, None) + (before.gradient * (score + before.gradient)).sum(-1)
    work = 1.3 * (then - t) * (before.reward + moves[1].tilt.reward) / 2
    torch.testing.assert_close(moves[1].increment.log_weights, work + (then - t) * chi * rate)


def test_zero_chi_changes_nothing() -> None:
    """Remark A.3."""
    for weights in ("jarzynski", "kernel"):
        setup = Setup(weights=weights, groups=3, particles=8)
        there, here = (last(setup.but(chi=chi).loop()).population for chi in (ZeroChi(), RegularisedChi(0.0)))
        assert torch.equal(there.x, here.x)
        assert torch.equal(there.log_weights, here.log_weights)


FINE = Setup(weights="jarzynski", chi=MILD, steps=160, groups=48, particles=64)
GROUPS = {"gaussian": 48, "mixture": 12}  # the flow map of the mixture takes long


@pytest.mark.parametrize("epsilon", [PowerEpsilon(), ZeroEpsilon()], ids=["noise", "no noise"])
@pytest.mark.parametrize(("look_ahead", "weights"), [("flowmap1", "jarzynski"), ("denoiser", "material")])
@pytest.mark.parametrize("model", ["gaussian", pytest.param("mixture", marks=pytest.mark.slow)])
def test_tilted_law_is_sampled(model: str, look_ahead: str, weights: str, epsilon) -> None:
    """In the limit of short steps: twice the result of 160 steps less that of 80, whose error is of second order."""
    setup = FINE.but(model=model, look_ahead=look_ahead, weights=weights, epsilon=epsilon, groups=GROUPS[model])
    coarse, fine = (deviations(last(setup.but(steps=steps).loop()).population, setup.truth()) for steps in (80, 160))
    assert max(abs(standardised(2 * fine[name] - coarse[name])) for name in fine) < 4


def test_schedules_of_the_paper() -> None:
    """``eps = 1 - t``, ``chi = 1.05 (1 - t) / (t + 0.05)``, which is stiff at the start."""
    setup = FINE.but(chi=RegularisedChi(), steps=400, groups=32)
    assert worst(last(setup.loop()).population, setup.truth()) < 4


def test_kernel_weights_are_exact_for_the_finite_chain() -> None:
    setup = Setup(weights="kernel", chi=MILD)
    assert worst(last(setup.loop()).population, reference(setup)) < 4


def test_probes_are_drawn_only_where_they_are_needed() -> None:
    loop = Setup(weights="jarzynski", chi=MILD).loop()
    wide = replace(loop.dynamics, model=Wide())
    assert probes(wide, 0.3) == 8
    assert probes(wide, loop.times[-2]) == 8
    assert probes(replace(wide, window=Window(0.0, 0.3)), 0.3) == 0
    assert probes(replace(wide, chi=ZeroChi()), 0.3) == 0
    assert probes(replace(wide, weights=Kernel()), 0.3) == 0
    assert probes(replace(wide, model=GAUSSIAN), 0.3) == 0


def probes(dynamics: Dynamics, t: float) -> int:
    return dynamics.probes(dynamics.needs(dynamics.interval(t, t + 0.01)))


class Wide:
    shape = (1, 5, 5)


def test_kernel_needs_noise_wherever_chi_guides() -> None:
    setup = Setup(weights="kernel", chi=MILD)
    with pytest.raises(ValueError, match=r"mode\.weights=kernel: needs noise wherever chi guides"):
        setup.but(epsilon=ZeroEpsilon()).loop()
    assert setup.but(epsilon=ConstantEpsilon(0.3)).loop().dynamics.chi is MILD


def test_kernel_needs_no_noise_in_a_last_step_that_chi_does_not_guide() -> None:
    """Epsilon vanishes at t = 1 and this chi does not."""
    problem = Setup(chi=Lasting()).problem
    with pytest.raises(ValueError, match="needs noise wherever chi guides"):
        modes.importance("kernel").loop(problem)
    assert modes.importance("kernel", window=(0.0, 0.5)).loop(problem).dynamics.chi == Lasting()


@dataclass(frozen=True)
class Lasting:
    """A chi that does not vanish at t = 1."""

    vanishes = False

    def __call__(self, t: float) -> float:
        return 0.3


@pytest.mark.parametrize("weights", [Jarzynski(), Material()], ids=["jarzynski", "material"])
def test_altered_gradient_is_refused_without_noise_too(weights: Jarzynski) -> None:
    problem = Setup(epsilon=ZeroEpsilon(), chi=MILD).problem
    with pytest.raises(ValueError, match="needs the unmodified gradient"):
        modes.importance(weights, gradient=ClippedGradient(1.0)).loop(problem)
