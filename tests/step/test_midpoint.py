"""The midpoint transport: of second order, exact with kernel weights for its own base chain, one evaluation a step."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor

import fmtt
from fmtt.flow.schedules import ConstantEpsilon, Epsilon, PowerEpsilon, PowerGrid, RegularisedEpsilon, ZeroEpsilon
from fmtt.methods import presets as modes
from fmtt.step import midpoint
from fmtt.step.midpoint import Midpoint
from fmtt.step.transport import Arrival, Departure, Euler
from tests.gaussian_chain import Data, Mass, Parabola, reference
from tests.step.midpoint_chain import terminal
from tests.support import GAUSSIAN, REWARDS, Setup, Truth, last, worst

VANISHING = (ZeroEpsilon(), PowerEpsilon(3.0), RegularisedEpsilon())  # at the end of time
EPSILONS = (*VANISHING, ConstantEpsilon(1.0))
DATA = [Data(*entry) for entry in zip(GAUSSIAN.mean.tolist(), GAUSSIAN.std.tolist(), strict=True)]
SETUP = Setup(weights="kernel", epsilon=PowerEpsilon(2.0), transport=Midpoint, steps=6, ess_threshold=0.9)


def base_truth(setup: Setup, scale: float) -> Truth:
    """The law of the base chain of ``setup`` under ``scale`` times its reward."""
    precision, slope, constant = REWARDS[setup.reward].quadratic_form(2)
    masses = [
        Mass(0.0, *terminal(data, setup.times, setup.epsilon)).weighted(Parabola(scale * a, scale * b))
        for data, a, b in zip(DATA, precision.tolist(), slope.tolist(), strict=True)
    ]
    log, mean, variance = torch.tensor(masses, dtype=torch.float64).unbind(1)
    log_z = log.sum() + scale * constant if scale else torch.zeros((), dtype=torch.float64)
    return Truth(mean, mean**2 + variance, log_z)


def errors(epsilon: Epsilon, steps: int) -> Tensor:
    """Errors of mean and variance of the base chain, over the coordinates."""
    found = [terminal(data, PowerGrid().times(steps), epsilon) for data in DATA]
    return torch.tensor([[mean - data.mean, var - data.std**2] for (mean, var), data in zip(found, DATA, strict=True)])


@pytest.mark.parametrize("epsilon", VANISHING, ids=lambda epsilon: type(epsilon).__name__)
def test_the_base_chain_is_of_second_order(epsilon: Epsilon) -> None:
    coarse, fine = errors(epsilon, 100), errors(epsilon, 200)
    assert coarse.abs().max() < 1e-3
    assert ((4 * fine - coarse) / 3).abs().max() < coarse.abs().max() / 8


def test_noise_up_to_the_end_leaves_an_error_of_more_than_first_order() -> None:
    """The score is singular there, and the middle of the last step sees half of it."""
    coarse, fine = errors(ConstantEpsilon(1.0), 100).abs().max(), errors(ConstantEpsilon(1.0), 200).abs().max()
    assert coarse < 2e-3
    assert fine < 0.45 * coarse


@pytest.mark.parametrize("reward", ["linear", "quadratic"])
def test_twelve_steps_are_enough_where_euler_is_off(reward: str) -> None:
    setup = Setup(reward=reward, weights="kernel", steps=12, scale=2.0)
    truth, euler, own = setup.truth(), reference(setup), base_truth(setup, 2.0)
    for found, by_euler, true in zip(own, euler, truth, strict=True):
        assert ((found - true) / (1 + true.abs())).abs().max() < 0.02
        assert (found - true).abs().max() < 0.4 * (by_euler - true).abs().max()


@pytest.mark.parametrize("c", [0.0, 1.0, 3.0])
@pytest.mark.parametrize("std", [0.01, 0.03, 0.1, 0.5, 2.0])
@pytest.mark.parametrize("steps", [4, 8, 16])
def test_it_is_stable_for_narrow_data(steps: int, std: float, c: float) -> None:
    _, variance = terminal(Data(0.5, std), PowerGrid().times(steps), PowerEpsilon(c) if c else ZeroEpsilon())
    assert variance < 1.2 * std**2


@pytest.mark.parametrize("epsilon", EPSILONS, ids=lambda epsilon: type(epsilon).__name__)
def test_samples_of_the_base_model_have_the_law_of_the_chain(epsilon: Epsilon) -> None:
    setup = SETUP.but(epsilon=epsilon)
    assert worst(last(modes.base().loop(setup.problem)).population, base_truth(setup, 0.0)) < 4


@pytest.mark.parametrize("reward", ["linear", "quadratic"])
@pytest.mark.parametrize("look_ahead", ["none", "denoiser", "flowmap1"])
def test_kernel_weights_are_exact_for_the_chain_at_six_steps(look_ahead: str, reward: str) -> None:
    setup = SETUP.but(look_ahead=look_ahead, reward=reward, scale=0.7)
    assert worst(last(setup.loop()).population, base_truth(setup, 0.7)) < 4


def without_half_of_the_pushes(right: Midpoint, start: Departure, *rest: object) -> Arrival:
    """Asks where the process would be without noise and guidance."""
    alone = right.move(start._replace(pushes=()), *rest)  # type: ignore[arg-type]
    moved = alone.x
    for push in start.pushes:
        moved = moved + push
    return alone._replace(x=moved)


def without_guidance_in_the_middle(right: Midpoint, start: Departure, *rest: object) -> Arrival:
    """Shifts the noise by the guidance in the step alone."""
    guided, noise = start.pushes[:-1], start.pushes[-1:]
    alone = right.move(start._replace(pushes=noise), *rest)  # type: ignore[arg-type]
    return alone._replace(x=sum(guided, start=alone.x))


def without_memory(right: Midpoint, start: Departure, *rest: object) -> Arrival:
    """Begins every step as the first one."""
    return right.move(start._replace(denoised=None), *rest)  # type: ignore[arg-type]


def of_another_particle(right: Midpoint, start: Departure, *rest: object) -> Arrival:
    """Takes the clean sample of the neighbour, as if a selection had not carried it along."""
    denoised = None if start.denoised is None else start.denoised.roll(1, dims=1)
    return right.move(start._replace(denoised=denoised), *rest)  # type: ignore[arg-type]


MUTANTS = [without_half_of_the_pushes, without_guidance_in_the_middle, without_memory, of_another_particle]


@pytest.mark.parametrize("wrong", MUTANTS)
def test_mutant_is_detected(wrong: Callable[..., Arrival]) -> None:
    class Altered(Midpoint):
        def move(self, *start: object) -> Arrival:
            return wrong(super(), *start)  # type: ignore[arg-type]

    setup = SETUP.but(reward="quadratic", scale=2.0)
    truth = base_truth(setup, 2.0)
    assert worst(last(setup.loop()).population, truth) < 4
    assert worst(last(setup.but(transport=Altered).loop()).population, truth) > 6


def test_a_selection_carries_the_clean_sample_along() -> None:
    population = last(SETUP.but(groups=2, particles=8).loop()).population
    index = torch.tensor([[3, 3, 0, 7, 1, 1, 1, 2], [7, 6, 5, 4, 3, 2, 1, 0]])
    assert population.denoised is not None
    expected = torch.stack([own[row] for own, row in zip(population.denoised, index, strict=True)])
    assert torch.equal(population.take(index).denoised, expected)


@pytest.mark.parametrize("weights", ["jarzynski", "material"])
def test_other_weights_hold_as_the_steps_get_short(weights: str) -> None:
    setup = SETUP.but(weights=weights, steps=200, groups=64, particles=64)
    assert worst(last(setup.loop()).population, setup.truth()) < 4


def run(transport: Callable[..., object], steps: int, epsilon: Epsilon) -> fmtt.api.Run:
    return fmtt.assemble(
        GAUSSIAN, REWARDS["linear"], mode=modes.base, transport=transport, steps=steps, epsilon=epsilon,
        groups=2, particles=8,
    )  # fmt: skip


@pytest.mark.parametrize("epsilon", [ZeroEpsilon(), PowerEpsilon()], ids=str)
def test_a_step_asks_once(epsilon: Epsilon) -> None:
    for transport in (Midpoint, Euler):
        own = run(transport, 5, epsilon)
        own.loop.last()
        assert own.meter.forward == 5 * 2 * 8


def test_way_to_the_middle_solves_its_equation() -> None:
    """Against many short Euler steps."""
    t, then, steps = 0.3, 0.6, 100_000
    interval = SETUP.loop().dynamics.interval(t, then)
    x = torch.tensor([[[0.7]]], dtype=torch.float64)
    clean, end, at = torch.full_like(x, -0.4), x.clone(), t
    du = (then - t) / steps
    for _ in range(steps):
        end = end + du * ((clean - end) / (1 - at) - interval.epsilon * (end - at * clean) / (1 - at) ** 2)
        at += du
    assert math.isclose(midpoint.drawn(x, clean, interval, then).item(), end.item(), abs_tol=1e-4)


def test_a_generator_without_velocity_is_refused() -> None:
    model = fmtt.Flow(shape=(2,), flow_map=lambda x, s, t: x)
    with pytest.raises(ValueError, match=r"sampler\.transport=midpoint"):
        fmtt.assemble(model, REWARDS["linear"], transport=partial(Midpoint), mode=modes.base)
