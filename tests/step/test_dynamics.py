"""One step: the move and the increments of the log-weights, written out."""

import math
from functools import partial

import pytest
import torch
from torch import Tensor

from fmtt.flow import noise
from fmtt.flow.batches import Batches
from fmtt.flow.interpolant import score_from_velocity
from fmtt.flow.schedules import PowerEpsilon, PowerRamp, ZeroEpsilon
from fmtt.methods.trajectory import in_force
from fmtt.step.dynamics import Draws, Dynamics, Step
from fmtt.step.guidance import TiltGradient
from fmtt.step.transport import Euler
from fmtt.step.weights import Jarzynski, Kernel, Material, NoWeights
from fmtt.tilt.look_ahead import Denoiser, FlowMapJumps, NoLookAhead
from fmtt.tilt.tilt import Tilt
from tests.step.one_step import Stepped, look, step
from tests.support import MIXTURE, REWARDS

T, NEXT, AFTER = 0.3, 0.37, 0.5
DT, EPSILON = NEXT - T, 2.0 * (1 - NEXT)
SHAPE = (3, 5, 2)
X, XI = noise.normal((2, *SHAPE), 0, "x").double()


def dynamics(look_ahead=Denoiser, guidance=TiltGradient(), weights=Kernel(), epsilon=PowerEpsilon(2.0), chunk: int = 7):
    tilt = Tilt(MIXTURE, look_ahead, REWARDS["quadratic"], 1.3, PowerRamp(2.0), Batches(chunk))
    return Dynamics(MIXTURE, tilt, epsilon, guidance, weights, Euler(MIXTURE))


def flat_velocity() -> Tensor:
    return MIXTURE.velocity(X.flatten(0, 1), torch.full((15,), T, dtype=torch.float64)).reshape(SHAPE)


def stepped(d: Dynamics, xi: Tensor | None = XI, after: float | None = AFTER) -> Stepped:
    return step(d, X, look(d, X, T, NEXT), (T, NEXT), Draws(xi), after)


@pytest.mark.parametrize("look_ahead", [NoLookAhead, Denoiser])
def test_move_is_euler_maruyama_with_epsilon_of_the_end(look_ahead) -> None:
    """``x + dt (b + eps (s + grad r_t)) + sqrt(2 eps dt) xi``, with b, s and r_t of the start."""
    d = dynamics(look_ahead)
    velocity = flat_velocity()
    score = score_from_velocity(
        velocity.flatten(0, 1), X.flatten(0, 1), torch.full((15,), T, dtype=torch.float64)
    ).reshape(SHAPE)
    gradient = d.tilt.evaluate(X, T, gradient=True).gradient
    expected = X + DT * (velocity + EPSILON * (score + gradient)) + math.sqrt(2 * EPSILON * DT) * XI
    torch.testing.assert_close(stepped(d).x, expected)


def test_base_move_has_no_guidance() -> None:
    d = dynamics(guidance=None, weights=NoWeights())
    assert look(d, X, T, NEXT).gradient is None
    move, guided = stepped(d), stepped(dynamics())
    torch.testing.assert_close(guided.x - move.x, DT * EPSILON * dynamics().tilt.evaluate(X, T, True).gradient)
    assert torch.equal(move.increment.log_weights, torch.zeros(3, 5).double())


def test_without_noise_the_move_is_that_of_the_ode() -> None:
    move = stepped(dynamics(epsilon=ZeroEpsilon()), None)
    torch.testing.assert_close(move.x, X + DT * flat_velocity())
    assert look(dynamics(epsilon=ZeroEpsilon()), X, T, NEXT).gradient is None


def test_tilt_after_the_move_is_that_at_the_new_place() -> None:
    d = dynamics()
    move = stepped(d)
    for found, expected in zip(move.tilt, d.tilt.evaluate(move.x, NEXT, gradient=True), strict=True):
        torch.testing.assert_close(found, expected)
    assert stepped(d, after=None).tilt.gradient is None


def test_kernel_increment_is_the_ratio_of_two_normal_densities() -> None:
    d = dynamics()
    move, before = stepped(d), look(d, X, T, NEXT)
    guided = torch.distributions.Normal(move.x - math.sqrt(2 * EPSILON * DT) * XI, math.sqrt(2 * EPSILON * DT))
    base = torch.distributions.Normal(guided.loc - DT * EPSILON * before.gradient, guided.scale)
    ratio = (base.log_prob(move.x) - guided.log_prob(move.x)).sum(-1)
    torch.testing.assert_close(move.increment.log_weights, move.tilt.value - before.value + ratio)


def test_kernel_increment_without_noise_is_the_change_of_the_tilt() -> None:
    d = dynamics(epsilon=ZeroEpsilon())
    move, before = stepped(d, None), look(d, X, T, NEXT)
    torch.testing.assert_close(move.increment.log_weights, move.tilt.value - before.value)


def test_jarzynski_increment_is_the_trapezoidal_rule() -> None:
    """``beta' scale r`` over the step, for ``beta = t^2``."""
    d = dynamics(partial(FlowMapJumps, steps=1), weights=Jarzynski())
    move, before = stepped(d), look(d, X, T, NEXT)
    expected = 1.3 * (NEXT**2 - T**2) * (before.reward + move.tilt.reward) / 2
    torch.testing.assert_close(move.increment.log_weights, expected)


@pytest.mark.parametrize("look_ahead", [NoLookAhead, Denoiser])
@pytest.mark.parametrize("epsilon", [PowerEpsilon(2.0), ZeroEpsilon()])
def test_material_increment_adds_the_derivative_along_the_ode(look_ahead, epsilon) -> None:
    """``beta scale (d_t + b . grad) r(L_t(x)) dt``, here by a forward-mode derivative."""
    d = dynamics(look_ahead, weights=Material(), epsilon=epsilon)
    move, before = stepped(d, None if epsilon.vanishes else XI), look(d, X, T, NEXT)
    gap = material_derivative(d)
    expected = 1.3 * (NEXT**2 - T**2) * (before.reward + move.tilt.reward) / 2 + 1.3 * T**2 * DT * gap
    torch.testing.assert_close(move.increment.log_weights, expected)
    torch.testing.assert_close(move.increment.transport_gap, 1.3 * T**2 * DT * gap)
    assert gap.abs().max() > 0.1


def material_derivative(d: Dynamics) -> Tensor:
    """``(d_t + b . grad) r(L_t(x))`` at X, ``(G, N)``."""

    def reward(x: Tensor, t: Tensor) -> Tensor:
        return d.tilt.reward(d.tilt.look_ahead(x, t).sample)

    time = torch.full((15,), T, dtype=torch.float64)
    along = (flat_velocity().flatten(0, 1), torch.ones_like(time))
    return torch.func.jvp(reward, (X.flatten(0, 1), time), along)[1].reshape(SHAPE[:2])


def test_rates_are_found_only_for_weights_that_need_them() -> None:
    assert look(dynamics(weights=Material()), X, T, NEXT).rate is not None
    assert look(dynamics(weights=Material()), X, T).rate is None
    assert look(dynamics(weights=Kernel()), X, T, NEXT).rate is None


def test_moves_forget_what_holds_at_one_place() -> None:
    tilt = look(dynamics(weights=Material()), X, T, NEXT)
    after = tilt.moved_on()
    assert torch.equal(after.reward, tilt.reward)
    assert torch.equal(after.value, tilt.value)
    assert after[2:] == (None, None, None, None)


def test_share_in_force_scales_value_and_gradient() -> None:
    tilt = look(dynamics(), X, T, NEXT)
    share = torch.tensor([0.5, 1.0, 0.0]).double()
    scaled = in_force(tilt, share)
    torch.testing.assert_close(scaled.value, share[:, None] * tilt.value)
    torch.testing.assert_close(scaled.gradient, share[:, None, None] * tilt.gradient)
    assert torch.equal(scaled.reward, tilt.reward)


def test_share_in_force_scales_the_guidance_of_the_move() -> None:
    d, share = dynamics(), torch.tensor([0.5, 1.0, 0.0]).double()
    interval, before = d.interval(T, NEXT), look(d, X, T, NEXT)
    step = Step(interval, d.needs(interval), Draws(XI))
    whole, part, none = (d.move(X, before, step, s) for s in (None, share, 0 * share))
    torch.testing.assert_close(part.guidance, share[:, None, None] * whole.guidance)
    torch.testing.assert_close(part.x - none.x, share[:, None, None] * (whole.x - none.x))


def test_draws_must_fit_the_noise() -> None:
    with pytest.raises(ValueError, match=r"a step with epsilon 1\.26 needs a draw of noise"):
        stepped(dynamics(), None)
    with pytest.raises(ValueError, match="a step with epsilon 0 needs no draw of noise"):
        stepped(dynamics(epsilon=ZeroEpsilon()), XI)


@pytest.mark.parametrize("look_ahead", [NoLookAhead, Denoiser])
def test_velocity_of_the_look_ahead_is_used_again(look_ahead) -> None:
    d = dynamics(look_ahead)
    before = look(d, X, T, NEXT)
    torch.testing.assert_close(d.velocity(X, T), flat_velocity())
    assert (before.velocity is None) == (look_ahead is NoLookAhead)
    twice = before._replace(velocity=2 * flat_velocity())
    moved = step(d, X, twice, (T, NEXT), Draws(XI)).x - step(d, X, before, (T, NEXT), Draws(XI)).x
    torch.testing.assert_close(moved, DT * (1 + EPSILON * T / (1 - T)) * flat_velocity())


def test_increments_are_float64_for_particles_in_float32() -> None:
    for weights in (Kernel(), Material(), NoWeights()):
        d = dynamics(weights=weights)
        x = X.float()
        move = step(d, x, look(d, x, T, NEXT), (T, NEXT), Draws(XI.float()), AFTER)
        assert move.x.dtype == torch.float32
        assert move.increment.log_weights.dtype == torch.float64
        assert move.tilt.reward.dtype == torch.float64
