"""What cannot be right is refused with one line that says what to do."""

from dataclasses import replace

import pytest
import torch

import fmtt
from fmtt.flow.meter import Meter, MeteredModel, MeteredReward
from fmtt.flow.noise import Noise
from fmtt.flow.protocols import Flow, Reward
from fmtt.flow.schedules import Epsilon, PowerEpsilon, ZeroEpsilon
from fmtt.methods import presets as modes
from fmtt.step.weights import Jarzynski, Kernel, Material, Weights
from tests.support import GAUSSIAN, Setup, last

X, T = torch.zeros(3, 2), torch.full((3,), 0.5)


@pytest.mark.parametrize("look_ahead", ["none", "denoiser", "diffusion2"])
def test_short_weights_name_what_to_use_instead(look_ahead: str) -> None:
    with pytest.raises(
        ValueError, match=r"mode.weights=jarzynski: right only for a flow map.*use mode.weights=material or kernel"
    ):
        Setup(weights="jarzynski", look_ahead=look_ahead).loop()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"weights": "short"}, "mode.weights=short: must be one of auto, jarzynski, material, kernel"),
        (
            {"resampler": "wheel"},
            "mode.resampler=wheel: must be one of systematic, stratified, residual, multinomial, ssp",
        ),
        ({"ess_threshold": 1.5}, r"mode.ess_threshold=1.5: must lie in \[0, 1\]"),
        ({"ess_threshold": float("nan")}, "mode.ess_threshold=nan: must be a finite number"),
        ({"ess_threshold": None}, "mode.ess_threshold=None: must be a finite number"),
    ],
)
def test_bad_modes_are_named(arguments: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        modes.importance(**arguments)


@pytest.mark.parametrize("scale", [float("nan"), float("inf"), True])
def test_bad_scales_are_named(scale) -> None:
    with pytest.raises(ValueError, match=f"reward.scale={scale}: must be a finite number"):
        Setup(scale=scale).loop()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("step", [0, 1, 5, 12])
def test_reward_that_is_not_finite_is_named(value: float, step: int) -> None:
    """At the start, in between and at the end, by group, particle and step."""
    loop = Setup(look_ahead="none", weights="kernel", groups=3, particles=20, ess_threshold=1e-9).loop()
    right, calls = loop.dynamics.tilt.reward, []

    def reward(x: torch.Tensor) -> torch.Tensor:
        calls.append(len(x))
        values = right(x)
        if len(calls) == step + 1:
            values = values + torch.where(torch.arange(60) == 27, value, 0.0)
        return values

    broken = replace(loop, dynamics=replace(loop.dynamics, tilt=replace(loop.dynamics.tilt, reward=reward)))
    with pytest.raises(FloatingPointError, match=f"the reward is {value} for particle 7 of group 1 at step {step}"):
        last(broken)


def test_weight_that_is_not_finite_is_named() -> None:
    loop = Setup(look_ahead="none", weights="kernel", groups=3, particles=20).loop()
    right = loop.dynamics.weights

    class Broken(type(right)):
        def increment(self, move):
            increment = super().increment(move)
            if move.interval.t > 0.4:
                increment.log_weights[2, 5] = float("nan")
            return increment

    broken = replace(loop, dynamics=replace(loop.dynamics, weights=Broken()))
    with pytest.raises(FloatingPointError, match="the log-weight is nan for particle 5 of group 2 at step 6"):
        last(broken)


def test_group_is_named_by_its_number_and_not_by_its_place() -> None:
    """A process that holds groups 5 to 7 must not speak of group 1."""
    loop = replace(Setup(look_ahead="none", weights="kernel", particles=20).loop(), noise=Noise(0, (5, 6, 7)))
    right = loop.dynamics.tilt

    def reward(x: torch.Tensor) -> torch.Tensor:
        return right.reward(x) + torch.where(torch.arange(60) == 27, float("nan"), 0.0)

    broken = replace(loop, dynamics=replace(loop.dynamics, tilt=replace(right, reward=reward)))
    with pytest.raises(FloatingPointError, match="the reward is nan for particle 7 of group 6 at step 0"):
        last(broken)


@pytest.mark.parametrize("shape", [(), (3, 1), (1,), (3, 2)], ids=str)
def test_reward_of_wrong_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"a reward must return shape \(3,\), got"):
        MeteredReward(Reward(lambda x: torch.zeros(shape)), Meter())(X)


@pytest.mark.parametrize("shape", [(3,), (3, 1), (1, 2), (3, 2, 1)], ids=str)
def test_model_of_wrong_shape_is_refused(shape: tuple[int, ...]) -> None:
    wrong = Flow((2,), lambda x, t: torch.zeros(shape), lambda x, s, t: torch.zeros(shape))
    model = MeteredModel(wrong, Meter())
    for call in (lambda: model.velocity(X, T), lambda: model.flow_map(X, T, T)):
        with pytest.raises(ValueError, match=r"the model returned shape .* for x of shape \(3, 2\)"):
            call()


def test_hard_reward_is_refused_where_its_gradient_is_needed_only() -> None:
    loop = Setup(look_ahead="none", weights="kernel", groups=2, particles=8, steps=4).loop()
    tilt = replace(loop.dynamics.tilt, reward=lambda x: (x[:, 0] > 0).double())
    hard = replace(loop, dynamics=replace(loop.dynamics, tilt=tilt))
    with pytest.raises(ValueError, match="the reward is not differentiable"):
        last(hard)
    quiet = replace(hard, dynamics=replace(hard.dynamics, epsilon=ZeroEpsilon()))
    assert last(quiet).population.log_evidence.isfinite().all()


@pytest.mark.parametrize(
    ("look_ahead", "epsilon", "expected"),
    [
        ("flowmap1", PowerEpsilon(), Jarzynski),
        ("flowmap1", ZeroEpsilon(), Jarzynski),
        ("denoiser", PowerEpsilon(), Kernel),
        ("denoiser", ZeroEpsilon(), Material),
        ("none", PowerEpsilon(0.0), Material),
    ],
)
def test_automatic_weights_are_legal(look_ahead: str, epsilon: Epsilon, expected: type[Weights]) -> None:
    assert type(Setup(look_ahead=look_ahead, epsilon=epsilon).loop().dynamics.weights) is expected


@pytest.mark.parametrize("epsilon", [PowerEpsilon(), ZeroEpsilon()])
@pytest.mark.parametrize(
    ("look_ahead", "exact", "expected"),
    [
        ("flowmap1", False, Material),
        ("flowmap4", False, Material),
        ("flowmap1", True, Jarzynski),
        ("exact", False, Jarzynski),
    ],
)
def test_automatic_weights_measure_the_error_of_a_learned_map(
    look_ahead: str, exact: bool, expected: type[Weights], epsilon: Epsilon
) -> None:
    model = Flow((2,), GAUSSIAN.velocity, GAUSSIAN.flow_map, exact_flow_map=exact)
    problem = Setup(look_ahead=look_ahead, epsilon=epsilon).problem
    problem = replace(problem, model=model, tilt=replace(problem.tilt, model=model))
    assert type(modes.importance().loop(problem).dynamics.weights) is expected


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"mode": "search"}, r"mode=search: the library takes objects, such as mode=fmtt\.modes\.search"),
        ({"look_ahead": "denoiser"}, r"look_ahead=denoiser: .* such as look_ahead=fmtt\.Denoiser"),
    ],
)
def test_words_of_the_command_line_are_no_objects(arguments: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        fmtt.sample(GAUSSIAN, lambda x: x[:, 0], **arguments)
