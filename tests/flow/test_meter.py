"""The ledger: evaluations of one run, counted by hand from K, N and G."""

from dataclasses import replace

import pytest
import torch

from fmtt.flow import noise
from fmtt.flow.meter import Meter, MeteredModel, MeteredReward
from fmtt.flow.protocols import Evaluations, as_flow, as_reward
from fmtt.flow.schedules import ConstantEpsilon, Epsilon, PowerEpsilon, ZeroEpsilon
from fmtt.methods import presets as modes
from tests.support import LOOK_AHEADS, MIXTURE, Setup, last

K, N, G = 7, 5, 3
PARTICLES = N * G
# Evaluations of the network for one landing; whether it hands on the velocity that the move needs.
COST = {
    "none": (0, False),
    "denoiser": (1, True),
    "diffusion2": (2, True),
    "flowmap1": (1, False),
    "flowmap4": (4, False),
    "exact": (16, True),
}


def counted(
    look_ahead: str, weights: str, epsilon: Epsilon, base: bool = False, chunk: int = 1000
) -> tuple[float, float, float]:
    """Forward, backward and reward calls for each particle."""
    setup = Setup(model="mixture", look_ahead=look_ahead, epsilon=epsilon, steps=K, particles=N, groups=G, chunk=chunk)
    plain, meter = setup.problem, Meter()
    model = MeteredModel(as_flow(MIXTURE), meter)
    tilt = replace(plain.tilt, model=model, reward=MeteredReward(as_reward(plain.tilt.reward), meter))
    method = modes.base() if base else modes.importance(weights, ess_threshold=setup.ess_threshold)
    last(method.loop(replace(plain, model=model, tilt=tilt)))
    assert min(meter.forward_time.seconds, meter.backward_time.seconds, meter.reward_time.seconds) >= 0
    return tuple(count / PARTICLES for count in (meter.forward, meter.backward, meter.reward))


def forward(look_ahead: str) -> int:
    """K looks (that at t = 1 is free), and K velocities where the look does not hand them on."""
    cost, hands_on = COST[look_ahead]
    return K * cost + (0 if hands_on else K)


@pytest.mark.parametrize("look_ahead", LOOK_AHEADS)
@pytest.mark.parametrize("chunk", [4, 1000])
def test_importance_sampling(look_ahead: str, chunk: int) -> None:
    """Gradients at all looks but the first, where the tilt is zero, and the last two, after which there is no noise."""
    cost, _ = COST[look_ahead]
    assert counted(look_ahead, "kernel", PowerEpsilon(), chunk=chunk) == (forward(look_ahead), (K - 2) * cost, K + 1)


@pytest.mark.parametrize("look_ahead", ["denoiser", "flowmap4"])
def test_noise_to_the_end_needs_one_gradient_more(look_ahead: str) -> None:
    cost, _ = COST[look_ahead]
    assert counted(look_ahead, "kernel", ConstantEpsilon()) == (forward(look_ahead), (K - 1) * cost, K + 1)


@pytest.mark.parametrize("look_ahead", ["denoiser", "flowmap1"])
def test_without_noise_no_gradient_is_taken_and_nobody_asks_at_the_start(look_ahead: str) -> None:
    spared = 0 if look_ahead == "denoiser" else COST[look_ahead][0]  # the denoiser's look is the step's velocity
    assert counted(look_ahead, "kernel", ZeroEpsilon()) == (forward(look_ahead) - spared, 0, K)


@pytest.mark.parametrize("look_ahead", LOOK_AHEADS)
def test_base_model_is_asked_for_its_reward_once(look_ahead: str) -> None:
    assert counted(look_ahead, "kernel", PowerEpsilon(), base=True) == (K, 0, 1)


@pytest.mark.parametrize("epsilon", [PowerEpsilon(), ZeroEpsilon()])
@pytest.mark.parametrize("look_ahead", ["none", "denoiser", "diffusion2", "flowmap1"])
def test_material_weights_cost_a_gradient_in_every_step(look_ahead: str, epsilon: Epsilon) -> None:
    """At all looks but the first, where the tilt is zero, and the last; and not one forward pass or reward more."""
    cost, _ = COST[look_ahead]
    assert counted(look_ahead, "material", epsilon) == (forward(look_ahead), (K - 1) * cost, K + 1)


def test_backward_is_counted_once_for_each_forward_it_goes_through() -> None:
    meter = Meter()
    x = noise.normal((4, 2), 0, "x").requires_grad_()
    t = torch.full((4,), 0.3)
    model = MeteredModel(as_flow(MIXTURE), meter)
    (model.velocity(x, t) + model.velocity(x, t).square()).sum().backward()
    assert (meter.forward, meter.backward) == (8, 8)
    model.velocity(x, t)
    assert (meter.forward, meter.backward) == (12, 8)
    with torch.no_grad():
        model.velocity(x, t)
    assert (meter.forward, meter.backward) == (16, 8)


def test_metered_model_is_the_model() -> None:
    meter = Meter()
    model = MeteredModel(as_flow(MIXTURE), meter)
    x, t = noise.normal((4, 2), 0, "x"), torch.full((4,), 0.3)
    assert model.shape == MIXTURE.shape
    assert model.exact_flow_map == MIXTURE.exact_flow_map
    assert torch.equal(model.velocity(x, t), MIXTURE.velocity(x, t))
    assert torch.equal(model.flow_map(x, t, 2 * t), MIXTURE.flow_map(x, t, 2 * t))
    assert meter.forward == 8


def test_a_guided_velocity_counts_as_two_evaluations() -> None:
    meter, twice = Meter(), Evaluations(velocity=2)
    model = MeteredModel(replace(as_flow(MIXTURE), evaluations=twice), meter)
    x, t = noise.normal((4, 2), 0, "x").requires_grad_(), torch.full((4,), 0.3)
    model.velocity(x, t).sum().backward()
    assert (meter.forward, meter.backward) == (8, 8)
    model.flow_map(x, t, 2 * t)
    assert (meter.forward, meter.backward) == (12, 8)
