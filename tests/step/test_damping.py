"""Damped guidance: exact for a Gaussian and a reward -|x - a|^2, refused by weights that it would make wrong."""

import math
from dataclasses import replace
from functools import partial

import pytest
import torch

import fmtt
from fmtt.flow import noise
from fmtt.flow.batches import Batches
from fmtt.flow.schedules import PowerRamp, RampFrom, RegularisedChi, ZeroEpsilon
from fmtt.methods import presets as modes
from fmtt.models.analytic import Gaussian
from fmtt.rewards import Quadratic
from fmtt.step.damping import GaussianDamping, NoDamping
from fmtt.step.guidance import TiltGradient, Vantage
from fmtt.tilt.look_ahead import Denoiser
from fmtt.tilt.tilt import Tilt
from tests.gaussian_chain import reference
from tests.support import Setup, last, worst

MEAN, SIGMA, CENTER, SCALE = (0.4, -0.7), 0.6, (1.3, 0.2), 1.7
MODEL, REWARD = Gaussian(MEAN, SIGMA), Quadratic(CENTER, (2.0, 2.0))  # -|x - a|^2
DAMPING = GaussianDamping(SIGMA)
X = noise.normal((2, 5, 2), 0, "x").double()


def value(x: torch.Tensor, t: float, strength: float, points: int = 4001) -> torch.Tensor:
    """``log E[e^(strength r(x_1)) | x_t = x]`` by quadrature over x_1, one coordinate after the other; ``(G, N)``."""
    total = torch.zeros(x.shape[:2], dtype=torch.float64)
    for d in range(2):
        grid = torch.linspace(-6, 6, points, dtype=torch.float64)
        prior = -0.5 * ((grid - MEAN[d]) / SIGMA) ** 2
        likelihood = -0.5 * ((x[..., d, None] - t * grid) / (1 - t)) ** 2
        posterior = torch.log_softmax(prior + likelihood, dim=-1)
        total = total + torch.logsumexp(posterior - strength * (grid - CENTER[d]) ** 2, dim=-1)
    return total


def pushed(damping, t: float, ramp=RampFrom(1.0)) -> torch.Tensor:
    """The guidance at ``X``."""
    tilt = Tilt(MODEL, Denoiser, REWARD, SCALE, ramp, Batches(None))
    gradient = tilt.evaluate(X, t, gradient=True).gradient
    return damping.applied(TiltGradient())(Vantage(X, t, gradient, None, None, None, lambda x, t: x, tilt))


@pytest.mark.parametrize("t", [0.0, 0.15, 0.5, 0.9])
@pytest.mark.parametrize("ramp", [RampFrom(1.0), PowerRamp()], ids=["from", "linear"])
def test_damped_guidance_is_the_gradient_of_the_value(t: float, ramp) -> None:
    x = X.clone().requires_grad_()
    (exact,) = torch.autograd.grad(value(x, t, ramp(t) * SCALE).sum(), x)
    torch.testing.assert_close(pushed(DAMPING, t, ramp), exact, rtol=1e-6, atol=1e-9)
    if 0 < t < 0.9:
        assert (pushed(NoDamping(), t, ramp) / exact).min() > 1.1, "without damping it pushes too hard"
        assert (pushed(GaussianDamping(1.0), t, ramp) / exact - 1).abs().max() > 0.05, (
            "with another sigma it is another"
        )


def samples(damping) -> torch.Tensor:
    """Samples by the ODE of the tilted path, ``b + (1 - t)/t g``, which needs no weights if g is exact."""
    run = fmtt.assemble(
        MODEL, REWARD, look_ahead=Denoiser, mode=modes.guidance(), scale=SCALE, epsilon=ZeroEpsilon(),
        chi=RegularisedChi(1.0, 1e-9), beta=RampFrom(1.0), damping=damping, steps=400, groups=1, particles=2000, seed=3,
        precision="64-true",
    )  # fmt: skip
    return fmtt.finish(run, run.loop.last()).samples[0]


def deviations_from_the_tilted_law(x: torch.Tensor) -> list[float]:
    """Means and variances of ``x (N, 2)`` minus those of the tilted law, in standard errors."""
    precision = 1 / SIGMA**2 + 2 * SCALE
    found = []
    for d in range(2):
        mean = (MEAN[d] / SIGMA**2 + 2 * SCALE * CENTER[d]) / precision
        found.append((x[:, d].mean() - mean) * math.sqrt(len(x) * precision))
        found.append((x[:, d].var() * precision - 1) * math.sqrt(len(x) / 2))
    return [float(number) for number in found]


def test_damped_samples_have_the_tilted_law_without_weights() -> None:
    assert max(map(abs, deviations_from_the_tilted_law(samples(DAMPING)))) < 3
    assert max(map(abs, deviations_from_the_tilted_law(samples(NoDamping())))) > 10


def test_damping_fades_where_the_sample_is_known() -> None:
    assert DAMPING.variance(0.0) == pytest.approx(SIGMA**2)
    factors = [DAMPING.factor(t, SCALE) for t in (0.0, 0.3, 0.6, 1.0)]
    assert factors == sorted(factors) and factors[-1] == 1.0
    assert DAMPING.factor(0.3, -SCALE) == DAMPING.factor(0.3, SCALE)


SETUP = Setup(look_ahead="denoiser", weights="kernel", damping=GaussianDamping(0.8), steps=24)


def test_kernel_weights_are_right_for_damped_moves() -> None:
    assert worst(last(SETUP.loop()).population, reference(SETUP)) < 4


@pytest.mark.parametrize("weights", ["jarzynski", "material"])
def test_short_weights_refuse_damped_moves(weights: str) -> None:
    look_ahead = "flowmap1" if weights == "jarzynski" else "denoiser"
    with pytest.raises(ValueError, match=r"without mode\.gradient, mode\.window or sampler\.damping"):
        SETUP.but(weights=weights, look_ahead=look_ahead).loop()
    SETUP.but(weights=weights, look_ahead=look_ahead, damping=NoDamping()).loop()


GUIDED = {name: getattr(fmtt.modes, name) for name in
          ("search", "guidance", "fmrg", "das", "tds", "diamond", "tilted_ode")} | {
          "importance": partial(fmtt.modes.importance, weights="kernel")}  # fmt: skip


@pytest.mark.parametrize("name", GUIDED)
def test_every_guided_mode_can_be_damped(name: str) -> None:
    """By factors that depend on time, so that no change of the scale gives the same samples."""
    found = [
        fmtt.assemble(
            MODEL, REWARD, look_ahead=Denoiser, mode=GUIDED[name], steps=6, groups=2, particles=4, damping=damping
        )
        for damping in (NoDamping(), GaussianDamping(1e-6), DAMPING)
    ]
    plain, faint, damped = (run.loop.last().population.x for run in found)
    torch.testing.assert_close(faint, plain, rtol=1e-4, atol=1e-4)
    assert (damped - plain).abs().max() > 1e-2


def test_without_damping_guidance_is_the_same_object() -> None:
    guidance = TiltGradient()
    assert NoDamping().applied(guidance) is guidance
    assert replace(DAMPING, sigma=2.0).applied(guidance).needs == guidance.needs


def test_sigma_must_be_positive() -> None:
    with pytest.raises(ValueError, match=r"sampler\.damping\.sigma=0"):
        GaussianDamping(0.0)
