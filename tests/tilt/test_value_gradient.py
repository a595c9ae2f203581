"""The gradient of ``V_t(x) = log E[e^r(x_1) | x_t = x]`` by samples, and guidance by it, against closed forms."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise

import pytest
import torch
from torch import Tensor

import fmtt
from fmtt.flow import noise
from fmtt.flow.batches import Batches
from fmtt.flow.protocols import FlowMap
from fmtt.flow.schedules import PowerRamp, RegularisedChi, ZeroEpsilon
from fmtt.methods import baselines
from fmtt.methods import presets as modes
from fmtt.methods.composition import Composition
from fmtt.models.analytic import MixtureLaw
from fmtt.step.transport import FlowMapTransport
from fmtt.tilt.look_ahead import FlowMapJumps
from fmtt.tilt.posterior import Posterior, Renoised, Velocities, value_gradient
from fmtt.tilt.tilt import Tilt
from tests.support import GAUSSIAN, MIXTURE, REWARDS, Setup, Truth, standardised

POINTS = 4
SCALE = 1.3


def points(model: FlowMap, t: float) -> Tensor:
    """Places where particles are at time t, ``(N, 2)``."""
    return t * model.law.sample(POINTS, 3).float() + (1 - t) * noise.normal((POINTS, 2), 4)  # type: ignore[attr-defined]


def estimates(
    model: FlowMap, reward: str, x: Tensor, t: float, posterior: Posterior, groups: int = 32, seed: int = 1
) -> Tensor:
    """Independent estimates at the points ``x (N, 2)``, ``(G, N, 2)``."""

    def base(at: Tensor, time: float) -> Tensor:
        return model.velocity(at.flatten(0, 1), at.new_full((at[..., 0].numel(),), time)).reshape(at.shape)

    look_ahead = partial(FlowMapJumps, steps=1)
    tilt = Tilt(model, look_ahead, REWARDS[reward], SCALE, PowerRamp(), Batches(200_000))
    draws = noise.normal((groups, posterior.samples, *x.shape), seed, "look")
    return value_gradient(posterior, x.expand(groups, *x.shape), t, base, tilt, draws).double()


def largest_deviation(found: Tensor, truth: Tensor) -> float:
    """Of the estimates ``(G, ...)`` from the truth, in standard errors over groups."""
    return max(abs(standardised(values)) for values in (found - truth).flatten(1).unbind(1))


def log_path(law: MixtureLaw, x: Tensor, t: float) -> Tensor:
    """``log int law(z) N(x; t z, (1-t)^2) dz``."""
    return MixtureLaw(t * law.means, ((1 - t) ** 2 + (t * law.stds) ** 2).sqrt(), law.log_weights).log_prob(x)


def exact_gaussian(reward: str, x: Tensor, t: float) -> Tensor:
    """By the posterior of x_1, which is Gaussian with a mean that is affine in x, coordinate by coordinate."""
    mean, variance, x = GAUSSIAN.mean, GAUSSIAN.std**2, x.double()
    spread = 1 / (1 / variance + (t / (1 - t)) ** 2)
    centre = spread * (mean / variance + t * x / (1 - t) ** 2)
    centre_by_x = spread * t / (1 - t) ** 2
    if reward == "linear":  # log E e^(l z) = l centre + l^2 spread / 2
        return SCALE * torch.tensor(REWARDS["linear"].direction, dtype=torch.float64) * centre_by_x.expand_as(x)
    # E exp(-p (z - c)^2 / 2) is proportional to exp(-p (centre - c)^2 / (2 (1 + p spread)))
    p = SCALE * torch.tensor(REWARDS["quadratic"].precision, dtype=torch.float64)
    c = torch.tensor(REWARDS["quadratic"].center, dtype=torch.float64)
    return -p * (centre - c) / (1 + p * spread) * centre_by_x


def exact_mixture(reward: str, x: Tensor, t: float, law: MixtureLaw = MIXTURE.law) -> Tensor:
    """By ``rho_t e^V_t = int rho(z) e^r(z) N(x; t z, (1-t)^2) dz``, the path of the tilted mixture times Z."""
    precision, slope, constant = REWARDS[reward].quadratic_form(2)
    after, _ = law.tilted(SCALE * precision, SCALE * slope, SCALE * constant)

    at = x.double().requires_grad_()
    (gradient,) = torch.autograd.grad((log_path(after, at, t) - log_path(law, at, t)).sum(), at)
    return gradient


@pytest.mark.parametrize("reward", REWARDS)
@pytest.mark.parametrize("t", [0.0, 0.3, 0.6, 0.9])
def test_the_two_closed_forms_agree(reward: str, t: float) -> None:
    """That for mixtures is of another kind, and holds for one component, too."""
    x = points(GAUSSIAN, t)
    assert torch.allclose(exact_gaussian(reward, x, t), exact_mixture(reward, x, t, GAUSSIAN.law), atol=1e-9)


@pytest.mark.parametrize("reward", REWARDS)
@pytest.mark.parametrize("t", [0.0, 0.3, 0.6, 0.9])
@pytest.mark.parametrize("drop", [3.0, 9.0])
def test_value_gradient_of_a_gaussian(reward: str, t: float, drop: float) -> None:
    x = points(GAUSSIAN, t)
    truth = exact_gaussian(reward, x, t)
    found = estimates(GAUSSIAN, reward, x, t, Posterior(4096, drop), groups=64)
    assert largest_deviation(found, truth) < 4
    if t > 0:  # at the start it is zero, for noise knows nothing of the data
        assert truth.abs().max() > 30 * (found.std(0) / len(found) ** 0.5).max()


@pytest.mark.parametrize("t", [0.0, 0.3, 0.6, 0.9])
@pytest.mark.parametrize("drop", [3.0, 9.0])
def test_value_gradient_of_a_mixture(t: float, drop: float) -> None:
    """The trapezoidal rule for the log-density costs up to .03 (measured with 16384 samples), where the value is 2."""
    x = points(MIXTURE, t)
    truth = exact_mixture("linear", x, t)
    found = estimates(MIXTURE, "linear", x, t, Posterior(1024, drop))
    error = found.std(0) / len(found) ** 0.5
    assert ((found.mean(0) - truth).abs() < 4 * error + 0.03).all()
    assert t == 0 or truth.abs().max() > 0.7


class ByClosedForm(Posterior):
    """``log rho_{t'}(x') / rho_{t'}(q x)`` of the mixture itself in the place of the trapezoidal rule."""

    def renoise(self, x: Tensor, t: float, base: Velocities, draws: Tensor) -> Renoised:
        copies = super().renoise(x, t, base, draws)
        log_density = log_path(MIXTURE.law, copies.points.double().flatten(0, -2), copies.time)
        square = draws.double().square().sum(-1)
        return copies._replace(log_density=log_density.reshape(square.shape) + square / 2)


def test_what_is_left_is_the_trapezoidal_rule() -> None:
    t, x = 0.6, points(MIXTURE, 0.6)[:1]
    truth = exact_mixture("linear", x, t)
    by_rule, by_law = (estimates(MIXTURE, "linear", x, t, kind(4096, 3.0)) for kind in (Posterior, ByClosedForm))
    assert largest_deviation(by_law, truth) < 4
    assert largest_deviation(by_rule, truth) > 6


# --- how fast, and with which weights ----------------------------------------------------------------------------


class OnlyTheReward(Posterior):
    """Weights ``softmax(r)``, without the terms for the densities: those of the published code."""

    def renoise(self, x: Tensor, t: float, base: Velocities, draws: Tensor) -> Renoised:
        copies = super().renoise(x, t, base, draws)
        at = copies.points.flatten(0, -2)
        z = GAUSSIAN.flow_map(at, at.new_full(at.shape[:1], copies.time), at.new_ones(at.shape[:1]))
        miss = (x[:, None] - t * z.reshape(draws.shape)) / (1 - t)
        return copies._replace(log_density=miss.square().sum(-1).double() / 2)  # which takes that of the miss away


def squares(kind: type[Posterior], samples: int, t: float, drop: float, reward: str, groups: int = 64) -> Tensor:
    """Mean square errors, ``(G,)``."""
    x = points(GAUSSIAN, t)
    found = estimates(GAUSSIAN, reward, x, t, kind(samples, drop), groups, seed=samples)
    return (found - exact_gaussian(reward, x, t)).square().flatten(1).mean(1)


def excess(kind: type[Posterior], t: float, drop: float, reward: str) -> float:
    """Mean square error of 1024 samples above a sixteenth of that of 64, in standard errors."""
    return standardised(squares(kind, 1024, t, drop, reward) - squares(kind, 64, t, drop, reward) / 16)


PLACES = [(0.3, 9.0), (0.6, 3.0), (0.6, 9.0), (0.9, 3.0), (0.9, 9.0)]


@pytest.mark.parametrize("reward", REWARDS)
@pytest.mark.parametrize(("t", "drop"), PLACES)
def test_error_shrinks_like_one_over_root_samples(t: float, drop: float, reward: str) -> None:
    assert excess(Posterior, t, drop, reward) < 4


@pytest.mark.parametrize("reward", REWARDS)
@pytest.mark.parametrize(("t", "drop"), PLACES)
def test_softmax_of_the_reward_alone_is_biased(t: float, drop: float, reward: str) -> None:
    x = points(GAUSSIAN, t)
    found = estimates(GAUSSIAN, reward, x, t, OnlyTheReward(1024, drop), groups=64)
    assert largest_deviation(found, exact_gaussian(reward, x, t)) > 6
    assert excess(OnlyTheReward, t, drop, reward) > 6


# --- guidance ----------------------------------------------------------------------------------------------------


STEPS, EARLY = 50, 0.01


def limit(reward: str, steps: int, h: float) -> Truth:
    """What the steps ``X_{t,t'}(x + dt chi grad V_t)`` with ``chi = (1 - t') / (t' + h)`` make of N(0, I).

    All of them are affine in x, so that two points follow each coordinate: images of 0 and of 1.
    """
    images = torch.tensor([[0.0, 0.0], [1.0, 1.0]], dtype=torch.float64)
    for k in range(steps):
        t, then = k / steps, (k + 1) / steps
        kicked = images + (1 - then) / (then + h) / steps * exact_gaussian(reward, images, t)
        images = GAUSSIAN.flow_map(kicked, kicked.new_full((2,), t), kicked.new_full((2,), then))
    mean, spread = images[0], images[1] - images[0]
    return Truth(mean, mean**2 + spread**2, torch.zeros(()).double())


def moments(mode: Callable[..., Composition], reward: str, steps: int, groups: int = 32) -> Tensor:
    """Mean and second moment by coordinate in each group, ``(G, 4)``."""
    run = fmtt.assemble(
        GAUSSIAN, REWARDS[reward], mode=mode, epsilon=ZeroEpsilon(), chi=RegularisedChi(1.0, EARLY), steps=steps,
        transport=FlowMapTransport, scale=SCALE, groups=groups, particles=64, chunk=1_000_000,
    )  # fmt: skip
    x = run.loop.last().population.x.double()
    return torch.cat([x.mean(1), x.square().mean(1)], dim=1)


def stacked(truth: Truth) -> Tensor:
    return torch.cat([truth.mean, truth.second_moment])


def tilted(reward: str) -> Tensor:
    return stacked(Setup(reward=reward, scale=SCALE).truth())


@pytest.mark.parametrize("reward", REWARDS)
def test_drift_by_the_value_leads_to_the_tilted_law(reward: str) -> None:
    errors = [(stacked(limit(reward, steps, 1e-5)) - tilted(reward)).abs().max() for steps in (50, 200, 800, 3200)]
    assert all(b < 0.4 * a for a, b in pairwise(errors))
    assert errors[-1] < 0.01


@pytest.mark.parametrize("reward", REWARDS)
def test_diamond_guidance(reward: str) -> None:
    """It takes the steps whose limit, by the test above, is the tilted law."""
    found = moments(partial(baselines.diamond, samples=64, snr_drop=9.0), reward, STEPS)
    chain = stacked(limit(reward, STEPS, EARLY))
    assert largest_deviation(found, chain) < 4
    assert largest_deviation(moments(modes.base, reward, STEPS), chain) > 6


@pytest.mark.parametrize("reward", REWARDS)
def test_gradient_of_the_landing_alone_does_not_lead_there(reward: str) -> None:
    """However short the steps."""
    found = moments(modes.guidance, reward, 800)
    assert largest_deviation(found, tilted(reward)) > 6
    assert largest_deviation(found, stacked(limit(reward, 800, EARLY))) > 6


def test_outside_its_window_diamond_is_the_base_model() -> None:
    def run(mode: Callable[..., Composition]) -> list[Tensor]:
        loop = fmtt.assemble(
            GAUSSIAN, REWARDS["linear"], mode=mode, epsilon=ZeroEpsilon(), chi=RegularisedChi(1.0, EARLY), steps=10,
            transport=FlowMapTransport, groups=2, particles=8,
        ).loop  # fmt: skip
        return [state.population.x for state, _ in loop.run()]

    guided, base = run(partial(baselines.diamond, window=(0.5, 0.75))), run(modes.base)
    assert [torch.equal(*pair) for pair in zip(guided, base, strict=True)] == [True] * 6 + [False] * 5
    again = GAUSSIAN.flow_map(guided[8].flatten(0, 1), torch.full((16,), 0.8), torch.full((16,), 0.9))
    assert torch.allclose(guided[9].flatten(0, 1), again, atol=1e-6)
