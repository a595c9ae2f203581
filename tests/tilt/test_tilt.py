"""The tilt: value, gradient through the whole look-ahead, and the gap of transport."""

from functools import partial

import pytest
import torch
from torch import Tensor

from fmtt.flow import noise
from fmtt.flow.batches import Batches
from fmtt.flow.schedules import EarlyRamp, PowerRamp
from fmtt.tilt.look_ahead import Denoiser, FlowMapJumps, NoLookAhead
from fmtt.tilt.tilt import Tilt
from tests.support import GAUSSIAN, LOOK_AHEADS, MIXTURE, REWARDS

QUADRATIC = REWARDS["quadratic"]


def tilt(name: str = "denoiser", scale: float = 1.7, ramp=PowerRamp(2.0), chunk: int = 1000, model=MIXTURE) -> Tilt:
    return Tilt(model, LOOK_AHEADS[name], QUADRATIC, scale, ramp, Batches(chunk))


@pytest.fixture
def x() -> Tensor:
    return noise.normal((3, 4, 2), 0, "x").double()


@pytest.mark.parametrize("name", LOOK_AHEADS)
@pytest.mark.parametrize("t", [0.3, 0.8, 1.0])
def test_gradient_against_finite_differences(name: str, t: float, x: Tensor) -> None:
    here, h = tilt(name), 1e-6
    gradient = here.evaluate(x, t, gradient=True).gradient
    for d in range(2):
        step = torch.zeros(2).double()
        step[d] = h
        difference = (here.evaluate(x + step, t, False).value - here.evaluate(x - step, t, False).value) / (2 * h)
        torch.testing.assert_close(gradient[..., d], difference, rtol=1e-6, atol=1e-6)


def test_value_is_ramp_times_scale_times_reward(x: Tensor) -> None:
    value = tilt(scale=1.7, ramp=PowerRamp(2.0)).evaluate(x, 0.3, gradient=False)
    landed = Denoiser(MIXTURE)(x.flatten(0, 1), torch.full((12,), 0.3, dtype=torch.float64)).sample
    torch.testing.assert_close(value.reward, QUADRATIC(landed).reshape(3, 4))
    torch.testing.assert_close(value.value, 0.3**2 * 1.7 * value.reward)
    assert value.reward.dtype == value.value.dtype == torch.float64
    assert value.gradient is None


def test_gradient_is_zero_where_the_ramp_is(x: Tensor) -> None:
    assert torch.equal(tilt().evaluate(x, 0.0, gradient=True).gradient, torch.zeros_like(x))
    assert torch.equal(tilt(scale=0.0).evaluate(x, 0.5, gradient=True).gradient, torch.zeros_like(x))


def test_clean_points_are_not_looked_ahead_of(x: Tensor) -> None:
    def broken(x: Tensor, t: Tensor) -> None:
        raise AssertionError("called")

    here = Tilt(MIXTURE, lambda model: broken, QUADRATIC, 1.0, PowerRamp(), Batches(5))
    value = here.evaluate(x, 1.0, gradient=False)
    torch.testing.assert_close(value.reward, QUADRATIC(x.flatten(0, 1)).reshape(3, 4))
    assert value.velocity is None


@pytest.mark.parametrize("name", ["none", "denoiser", "diffusion2", "flowmap1"])
@pytest.mark.parametrize("chunk", [1, 5])
def test_chunks_do_not_matter(name: str, chunk: int, x: Tensor) -> None:
    whole, parts = (tilt(name, chunk=size).evaluate(x, 0.4, gradient=True, rate=True) for size in (1000, chunk))
    for one, other in zip(whole, parts, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


def test_largest_batch_is_the_chunk(x: Tensor) -> None:
    sizes = []

    def reward(points: Tensor) -> Tensor:
        sizes.append(len(points))
        return points.sum(1)

    Tilt(MIXTURE, NoLookAhead, reward, 1.0, PowerRamp(), Batches(5)).evaluate(x, 0.4, gradient=True)
    assert sizes == [5, 5, 2]


def along_the_ode(here: Tilt, model, x: Tensor, t: float) -> Tensor:
    """``rate + gradient . b``, ``(G, N)``."""
    velocity = model.velocity(x.flatten(0, 1), torch.full((12,), t, dtype=torch.float64)).reshape(x.shape)
    value = here.evaluate(x, t, gradient=True, rate=True)
    return value.rate + (value.gradient * velocity).sum(-1)


@pytest.mark.parametrize("name", ["none", "denoiser", "diffusion2", "flowmap1"])
def test_rate_is_the_derivative_in_time(name: str, x: Tensor) -> None:
    """``beta(t) scale [r(L_{t+h}(x)) - r(L_{t-h}(x))] / 2h``."""
    here, t, h = tilt(name), 0.4, 1e-6
    later, earlier = (here.evaluate(x, t + s, False).reward for s in (h, -h))
    rate = here.evaluate(x, t, gradient=True, rate=True).rate
    torch.testing.assert_close(rate, here.strength(t) * (later - earlier) / (2 * h), rtol=1e-6, atol=1e-6)
    assert (rate.abs().max() > 0.01) == (name != "none")


def test_rate_is_zero_where_the_ramp_is(x: Tensor) -> None:
    assert torch.equal(tilt().evaluate(x, 0.0, gradient=True, rate=True).rate, torch.zeros(3, 4).double())
    assert tilt().evaluate(x, 0.4, gradient=True).rate is None


@pytest.mark.parametrize("name", ["none", "denoiser", "diffusion2"])
def test_estimates_of_a_landing_change_along_the_ode(name: str, x: Tensor) -> None:
    assert along_the_ode(tilt(name), MIXTURE, x, 0.4).abs().max() > 0.01


def test_exact_flow_maps_do_not_change_along_the_ode(x: Tensor) -> None:
    here = Tilt(GAUSSIAN, partial(FlowMapJumps, steps=1), QUADRATIC, 1.0, EarlyRamp(), Batches(1000))
    gap = along_the_ode(here, GAUSSIAN, x, 0.4)
    torch.testing.assert_close(gap, torch.zeros_like(gap), rtol=0, atol=1e-12)


def test_nothing_keeps_a_graph(x: Tensor) -> None:
    value = tilt().evaluate(x.requires_grad_(), 0.4, gradient=True)
    assert not any(part.requires_grad for part in value if part is not None)


def test_reward_that_cannot_be_differentiated_is_refused(x: Tensor) -> None:
    for reward in (lambda points: (points.sum(1) > 0).double(), lambda points: points.detach().sum(1)):
        hard = Tilt(MIXTURE, NoLookAhead, reward, 1.0, PowerRamp(), Batches(1000))
        with pytest.raises(ValueError, match="reward is not differentiable, and this mode needs its gradient"):
            hard.evaluate(x, 0.4, gradient=True)
        assert hard.evaluate(x, 0.4, gradient=False).reward.shape == (3, 4)


@pytest.mark.parametrize("scale", [float("nan"), float("inf"), "1"])
def test_bad_scales_are_refused(scale) -> None:
    with pytest.raises(ValueError, match=f"reward.scale={scale}: must be a finite number"):
        tilt(scale=scale)


@pytest.mark.parametrize("name", LOOK_AHEADS)
@pytest.mark.parametrize("t", [0.3, 1.0])
@pytest.mark.parametrize("chunk", [5, 1000])
def test_landings_are_those_of_the_look_ahead(name: str, t: float, chunk: int, x: Tensor) -> None:
    here = tilt(name, chunk=chunk)
    value = here.evaluate(x, t, gradient=False)
    sample, reward = here.land(x, t)
    torch.testing.assert_close(sample, value.sample)
    torch.testing.assert_close(reward, value.reward)
    torch.testing.assert_close(here.landings(x, t), sample)
