"""Look-aheads: what they need, what they hand on, and their gradients."""

import pytest
import torch
from torch import Tensor

from fmtt.flow import noise
from fmtt.flow.meter import Meter, MeteredModel
from fmtt.flow.protocols import Flow
from fmtt.tilt.look_ahead import Denoiser, Exact, FlowMapJumps, NoLookAhead, OdeSteps
from tests.support import GAUSSIAN, LOOK_AHEADS, MIXTURE, TRANSPORTED


@pytest.fixture
def x() -> Tensor:
    return noise.normal((6, 2), 0, "x").double()


@pytest.fixture
def t() -> Tensor:
    return noise.uniform((6,), 0, "t")


@pytest.mark.parametrize("metered", [False, True])
def test_flow_map_is_needed_and_asked_for(metered: bool) -> None:
    model = Flow((2,), GAUSSIAN.velocity)
    with pytest.raises(
        ValueError, match=r"needs a flow map, and the model has a velocity only; use the look-ahead none, denoiser"
    ):
        FlowMapJumps(MeteredModel(model, Meter()) if metered else model, 1)


@pytest.mark.parametrize("name", LOOK_AHEADS)
def test_only_flow_maps_say_that_they_are_transported(name: str) -> None:
    assert LOOK_AHEADS[name](GAUSSIAN).transported == (name in TRANSPORTED)


@pytest.mark.parametrize("kind", [OdeSteps, FlowMapJumps, Exact])
@pytest.mark.parametrize("steps", [0, -1, 1.5])
def test_bad_numbers_of_steps_are_refused(kind, steps) -> None:
    with pytest.raises(ValueError, match=f"lookahead.steps={steps}: must be a whole number of at least 1"):
        kind(GAUSSIAN, steps)


@pytest.mark.parametrize("name", LOOK_AHEADS)
def test_velocity_that_is_handed_on_is_that_of_the_model(name: str, x: Tensor, t: Tensor) -> None:
    velocity = LOOK_AHEADS[name](MIXTURE)(x, t).velocity
    if name in ("none", "flowmap1", "flowmap4"):
        assert velocity is None
    else:
        assert torch.equal(velocity, MIXTURE.velocity(x, t))


@pytest.mark.parametrize("name", LOOK_AHEADS)
def test_points_do_not_see_each_other(name: str, x: Tensor, t: Tensor) -> None:
    look_ahead = LOOK_AHEADS[name](MIXTURE)
    alone = torch.cat([look_ahead(point[None], time[None]).sample for point, time in zip(x, t, strict=True)])
    torch.testing.assert_close(look_ahead(x, t).sample, alone, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", [name for name in LOOK_AHEADS if name != "none"])
def test_look_ahead_from_the_end_is_the_identity(name: str, x: Tensor) -> None:
    torch.testing.assert_close(LOOK_AHEADS[name](MIXTURE)(x, torch.ones(6).double()).sample, x, rtol=0, atol=1e-14)


def test_no_look_ahead_is_the_point_itself(x: Tensor, t: Tensor) -> None:
    assert torch.equal(NoLookAhead(MIXTURE)(x, t).sample, x)


def test_look_aheads_of_a_gaussian_in_closed_form(x: Tensor, t: Tensor) -> None:
    """Denoiser: the posterior mean of a Gaussian, ``m + t s^2 (x - t m) / ((1-t)^2 + t^2 s^2)``."""
    time, mean, variance = t[:, None], GAUSSIAN.mean, GAUSSIAN.std**2
    posterior = mean + time * variance * (x - time * mean) / ((1 - time) ** 2 + time**2 * variance)
    torch.testing.assert_close(Denoiser(GAUSSIAN)(x, t).sample, posterior)
    landed = FlowMapJumps(GAUSSIAN, 1)(x, t).sample
    torch.testing.assert_close(
        (landed - mean) / GAUSSIAN.std, (x - time * mean) / ((1 - time) ** 2 + time**2 * variance).sqrt()
    )
    torch.testing.assert_close(FlowMapJumps(GAUSSIAN, 4)(x, t).sample, landed)
    torch.testing.assert_close(Exact(GAUSSIAN, 300)(x, t).sample, landed, rtol=0, atol=1e-8)


@pytest.mark.parametrize("name", LOOK_AHEADS)
@pytest.mark.parametrize("model", [GAUSSIAN, MIXTURE], ids=["gaussian", "mixture"])
def test_derivatives_against_finite_differences(name: str, model, x: Tensor, t: Tensor) -> None:
    """Reverse mode in x, and forward mode in x and t, through the whole look-ahead."""
    look_ahead = LOOK_AHEADS[name](model)

    def land(x: Tensor, t: Tensor) -> Tensor:
        return look_ahead(x, t).sample

    t = 0.1 + 0.8 * t
    assert torch.autograd.gradcheck(lambda x: land(x, t), x.clone().requires_grad_(), atol=1e-6)
    h = 1e-6
    for dx, dt in ((torch.ones_like(x), 0 * t), (0 * x, torch.ones_like(t))):
        _, slope = torch.func.jvp(land, (x, t), (dx, dt))
        difference = (land(x + h * dx, t + h * dt) - land(x - h * dx, t - h * dt)) / (2 * h)
        torch.testing.assert_close(slope, difference, rtol=1e-6, atol=1e-6)
