"""Identities of the exact flow maps, in float64: they are what the short weights rest on."""

import math

import pytest
import torch
from torch import Tensor

from fmtt.flow import noise
from fmtt.flow.ode import runge_kutta
from fmtt.models.analytic import GaussianMixture
from fmtt.tilt.look_ahead import Denoiser, Exact, FlowMapJumps, LookAhead, NoLookAhead, OdeSteps
from tests.support import GAUSSIAN, MIXTURE_ARGUMENTS, standardised

FINE = GaussianMixture(*MIXTURE_ARGUMENTS, steps=40)
COARSE = GaussianMixture(*MIXTURE_ARGUMENTS, steps=10)  # as fine in four jumps
MODELS = pytest.mark.parametrize(("model", "atol"), [(GAUSSIAN, 1e-12), (FINE, 1e-6)], ids=["gaussian", "mixture"])


def cloud(count: int = 40) -> Tensor:
    return 1.3 * noise.normal((count, 2), 1, "points").double()


def times(count: int = 40) -> tuple[Tensor, Tensor, Tensor]:
    """Random ``s < u < t``, each ``(B,)``."""
    return noise.uniform((3, count), 1, "times").sort(0).values.unbind(0)


def test_gaussian_flow_map_solves_the_ode() -> None:
    x, (s, _, t) = cloud(), times()
    solved, first = runge_kutta(GAUSSIAN.velocity, x, s, t, 400)
    torch.testing.assert_close(GAUSSIAN.flow_map(x, s, t), solved, rtol=0, atol=1e-9)
    assert torch.equal(first, GAUSSIAN.velocity(x, s))


@MODELS
def test_semigroup(model, atol: float) -> None:
    x, (s, u, t) = cloud(), times()
    two = model.flow_map(model.flow_map(x, s, u), u, t)
    torch.testing.assert_close(two, model.flow_map(x, s, t), rtol=0, atol=atol)
    assert (two - x).abs().max() > 0.5


@MODELS
def test_flow_map_from_t_to_t_is_the_identity(model, atol: float) -> None:
    x, (_, _, t) = cloud(), times()
    torch.testing.assert_close(model.flow_map(x, t, t), x, rtol=0, atol=1e-14)


@MODELS
def test_flow_map_leaves_with_the_velocity(model, atol: float) -> None:
    """``d_t X_{s,t}(x) = b_s(x)`` at t = s."""
    x, (s, _, _) = cloud(), times()
    _, slope = torch.func.jvp(lambda t: model.flow_map(x, s, t), (s,), (torch.ones_like(s),))
    torch.testing.assert_close(slope, model.velocity(x, s), rtol=1e-9, atol=1e-9)


def eulerian_residual(look_ahead: LookAhead, model) -> Tensor:
    """``d_t L_t(x) + (grad L_t(x)) b_t(x)``, ``(B, d)``."""
    x, (_, t, _) = cloud(), times()
    direction = (model.velocity(x, t), torch.ones_like(t))
    return torch.func.jvp(lambda x, t: look_ahead(x, t).sample, (x, t), direction)[1]


@MODELS
@pytest.mark.parametrize("name", ["one jump", "four jumps", "exact"])
def test_transported_look_aheads_are_constant_along_the_ode(name: str, model, atol: float) -> None:
    in_four = COARSE if model is FINE else model
    look_ahead = {
        "one jump": FlowMapJumps(model, 1),
        "four jumps": FlowMapJumps(in_four, 4),
        "exact": Exact(model, 40),
    }[name]
    assert look_ahead.transported
    assert eulerian_residual(look_ahead, model).abs().max() < 1e-6


@MODELS
@pytest.mark.parametrize("build", [NoLookAhead, Denoiser, lambda m: OdeSteps(m, 1), lambda m: OdeSteps(m, 4)])
def test_other_look_aheads_are_not(build, model, atol: float) -> None:
    look_ahead = build(model)
    assert not look_ahead.transported
    assert eulerian_residual(look_ahead, model).abs().max() > 0.1


@MODELS
def test_flow_map_carries_the_density(model, atol: float) -> None:
    """``log rho_1(X(x)) + log det grad X(x) = log N(x; 0, I)`` for X the flow map from 0 to 1."""
    x = cloud()
    zero, one = torch.zeros(len(x), dtype=x.dtype), torch.ones(len(x), dtype=x.dtype)
    columns = [
        torch.func.jvp(lambda y: model.flow_map(y, zero, one), (x,), (e.expand_as(x),)) for e in torch.eye(2).double()
    ]
    jacobian = torch.stack([column[1] for column in columns], -1)
    pulled = model.law.log_prob(columns[0][0]) + jacobian.det().log()
    normal = -(x**2).sum(1) / 2 - math.log(2 * math.pi)
    torch.testing.assert_close(pulled, normal, rtol=0, atol=max(10 * atol, 1e-10))


@MODELS
def test_noise_lands_on_the_data(model, atol: float) -> None:
    x = noise.normal((20_000, 2), 2, "start").double()
    landed = model.flow_map(x, torch.zeros(len(x)).double(), torch.ones(len(x)).double())
    for d in range(2):
        assert abs(standardised(landed[:, d] - model.law.mean[d])) < 4
        assert abs(standardised(landed[:, d] ** 2 - model.law.second_moment[d])) < 4


@pytest.mark.parametrize("steps", [8, 16])
def test_runge_kutta_is_of_order_four(steps: int) -> None:
    x, (s, _, t) = cloud(), times()
    truth = GAUSSIAN.flow_map(x, s, t)
    errors = [(runge_kutta(GAUSSIAN.velocity, x, s, t, n)[0] - truth).abs().max() for n in (steps, 2 * steps)]
    assert torch.log2(errors[0] / errors[1]) == pytest.approx(4, abs=0.25)


def test_diffusion_look_ahead_converges_to_the_flow_map() -> None:
    x, (t, _, _) = cloud(), times()
    truth = GAUSSIAN.flow_map(x, t, torch.ones_like(t))
    one, coarse, fine = (OdeSteps(GAUSSIAN, n)(x, t).sample - truth for n in (1, 100, 200))
    assert one.abs().max() > 0.5
    assert torch.log2(coarse.abs().max() / fine.abs().max()) == pytest.approx(1, abs=0.05)
    assert (2 * fine - coarse).abs().max() < 1e-3  # Richardson's extrapolation


def test_one_step_of_diffusion_is_the_denoiser() -> None:
    x, (t, _, _) = cloud(), times()
    torch.testing.assert_close(OdeSteps(FINE, 1)(x, t).sample, Denoiser(FINE)(x, t).sample)
