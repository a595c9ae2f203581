"""Pilots choose the strength of the noise: much for far tilts, little for sharp rewards, and the law stays right."""

from dataclasses import replace

import pytest
import torch

import fmtt
from fmtt.flow.schedules import PowerEpsilon
from fmtt.methods import presets as modes
from fmtt.methods.epsilon_pilot import PilotedEpsilon, evidence
from fmtt.models.analytic import standard_normal
from fmtt.rewards import Linear, Quadratic
from tests.support import GAUSSIAN, Setup, last, worst

WIDE = 32
FAR, SHARP = Linear((1.0,) * WIDE, 1.118), Quadratic((0.5,) * WIDE, 1.0, 5.83)  # both 20 nats


def chosen(reward, seed: int, epsilon: PilotedEpsilon = PilotedEpsilon()) -> float:
    mode = modes.importance(weights="kernel")
    run = fmtt.assemble(
        standard_normal(WIDE), reward, mode=mode, scale=reward.scale, steps=25, epsilon=epsilon, seed=seed
    )
    return run.tuned().loop.dynamics.epsilon.c


@pytest.mark.parametrize("seed", range(5))
def test_far_tilts_get_much_noise_and_sharp_rewards_little(seed: int) -> None:
    assert chosen(FAR, seed) >= 2
    assert chosen(SHARP, seed) <= 1


def test_what_is_chosen_halves_the_error_of_the_usual_noise() -> None:
    """Root mean squares over 32 groups, of which the pilot sees none; log Z is 16 scale^2."""
    truth, errors = 16 * FAR.scale**2, []
    for epsilon in (PowerEpsilon(), PilotedEpsilon()):
        run = fmtt.assemble(
            standard_normal(WIDE), FAR, mode=modes.importance(weights="kernel"), scale=FAR.scale, steps=25,
            groups=32, particles=50, epsilon=epsilon,
        ).tuned()  # fmt: skip
        errors.append((run.loop.last().population.log_evidence - truth).square().mean().sqrt().item())
    assert errors[1] < errors[0] / 2


def test_tuned_loop_samples_the_tilted_law() -> None:
    setup = Setup(weights="kernel", steps=120, groups=64, particles=64)
    assert worst(last(PilotedEpsilon((0.5, 1.0, 2.0)).tune(setup.loop())).population, setup.truth()) < 4


def test_pilots_are_counted_and_repeat_themselves() -> None:
    runs = [
        fmtt.assemble(
            GAUSSIAN,
            Quadratic((1.0, 0.0)),
            mode=modes.importance(weights="kernel"),
            steps=5,
            groups=2,
            particles=3,
            epsilon=epsilon,
        )
        for epsilon in (PilotedEpsilon((1.0, 2.0, 4.0), particles=7),) * 2
    ]
    tuned = [run.tuned() for run in runs]
    per_particle = 5 * 2  # a look and a velocity in each step
    assert [run.meter.forward for run in tuned] == [3 * 7 * per_particle] * 2
    assert tuned[0].pending == () and tuned[0].loop.dynamics.epsilon == tuned[1].loop.dynamics.epsilon
    assert torch.equal(*(last(run.loop).population.x for run in tuned))


def test_a_pilot_that_goes_to_infinity_is_not_taken() -> None:
    mode = modes.importance(weights="kernel")
    run = fmtt.assemble(GAUSSIAN, Quadratic((1.0, 0.0)), mode=mode, scale=50.0, steps=4, epsilon=PowerEpsilon(1e30))
    assert evidence(run.loop) == -float("inf")
    wild = replace(run, pending=(PilotedEpsilon((1e30, 1.0)),)).tuned()
    assert wild.loop.dynamics.epsilon == PowerEpsilon(1.0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PilotedEpsilon(particles=1), "sampler.epsilon.particles"),
        (lambda: PilotedEpsilon((1.0,)), "sampler.epsilon.choices=(1.0,): must be two or more numbers"),
        (lambda: PilotedEpsilon("12"), "sampler.epsilon.choices=12: must be two or more numbers"),
        (lambda: PilotedEpsilon((1.0, 0.0)), "sampler.epsilon.choices=0.0: must be positive"),
        (
            lambda: fmtt.assemble(GAUSSIAN, Quadratic((1.0, 0.0)), mode=modes.search, epsilon=PilotedEpsilon()).tuned(),
            "sampler.epsilon: pilots compare estimates of Z, which this mode does not have; use linear",
        ),
        (
            lambda: fmtt.assemble(
                GAUSSIAN, Quadratic((1.0, 0.0)), mode=modes.importance(weights="jarzynski"), epsilon=PilotedEpsilon()
            ).tuned(),
            "sampler.epsilon: pilots need mode.weights=kernel, which have no error of the time step",
        ),
        (
            lambda: fmtt.assemble(GAUSSIAN, Quadratic((1.0, 0.0)), mode=fmtt.modes.auto, epsilon=PilotedEpsilon()),
            "has no steps that a pilot could see",
        ),
    ],
)
def test_impossible_settings(make, message: str) -> None:
    with pytest.raises(ValueError) as error:
        make()
    assert message in str(error.value)
