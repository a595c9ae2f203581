"""Models whose trajectories begin after t = 0, from noise alone, against the closed form of Gaussian data."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from fmtt.api import Run, assemble
from fmtt.flow.schedules import ConstantEpsilon, PowerEpsilon, ZeroEpsilon
from fmtt.methods import presets as modes
from fmtt.methods.annealed_start import AnnealedStart
from fmtt.methods.auto import auto
from fmtt.methods.editing import NoisedImage
from fmtt.methods.noise_opt import noise_opt
from fmtt.methods.noise_smc import noise_smc
from fmtt.methods.problem import Problem, normal_start
from fmtt.methods.rounds import multi_best_of_n
from fmtt.step.transport import Euler, FlowMapTransport
from fmtt.step.weights import WEIGHTS, Kernel
from tests.gaussian_chain import reference
from tests.methods.test_editing import MODEL, T0, LateGrid, edit
from tests.support import LOOK_AHEADS, REWARDS, Setup, worst

LATE = replace(MODEL, first_time=T0)
SETUPS = [
    Setup(weights="kernel", look_ahead="denoiser", epsilon=PowerEpsilon(), transport=Euler, seed=43),
    Setup(weights="jarzynski", look_ahead="flowmap1", epsilon=ZeroEpsilon(), transport=FlowMapTransport, seed=43),
]


def run_of(setup: Setup, start: Callable[[Problem], Problem] = normal_start, mode: Callable = modes.importance) -> Run:
    return edit(setup, start, mode, LATE)


def deviation(run: Run, setup: Setup) -> float:
    late = setup.but(grid=LateGrid(), ramp=lambda t: (t - T0) / (1 - T0))
    population = run.loop.last().population
    return worst(replace(population, x=population.x.flatten(2)), reference(late, (0.0, 0.0)))


@pytest.mark.parametrize("setup", SETUPS, ids=lambda setup: setup.weights)
def test_runs_have_the_tilted_law_of_trajectories_that_begin_late(setup: Setup) -> None:
    assert deviation(run_of(setup), setup) < 4


@pytest.mark.parametrize("setup", SETUPS, ids=lambda setup: setup.weights)
def test_the_first_time_may_not_be_forgotten(setup: Setup) -> None:
    assert deviation(run_of(setup, start=lambda problem: problem), setup) > 6


@pytest.mark.parametrize(("weights", "look_ahead"), [("jarzynski", "flowmap1"), ("material", "denoiser")])
def test_weights_that_trust_the_noise_are_refused_and_would_be_wrong(weights: str, look_ahead: str) -> None:
    setup = Setup(weights=weights, look_ahead=look_ahead, epsilon=ConstantEpsilon(1.0), steps=100, groups=192, seed=44)
    with pytest.raises(ValueError, match=r"mode\.weights: .* begin at t = 0\.4 .*use mode\.weights=kernel"):
        run_of(setup)
    right = setup.but(weights="kernel")
    run = run_of(right)
    assert deviation(run, right) < 4
    dynamics = replace(run.loop.dynamics, weights=WEIGHTS[weights]())
    assert deviation(replace(run, loop=replace(run.loop, dynamics=dynamics)), right) > 6


def test_without_a_choice_the_weights_are_right() -> None:
    setup = Setup(look_ahead="flowmap1", epsilon=PowerEpsilon(), seed=45)
    run = assemble(
        LATE, lambda x: REWARDS[setup.reward](x.reshape(-1, 2)), look_ahead=LOOK_AHEADS["flowmap1"], steps=setup.steps,
        epsilon=setup.epsilon, groups=setup.groups, particles=setup.particles, chunk=setup.chunk, seed=setup.seed,
    )  # fmt: skip
    assert isinstance(run.loop.dynamics.weights, Kernel)
    assert deviation(run, setup.but(weights="kernel")) < 4


def test_the_base_model_begins_late_too() -> None:
    run = run_of(Setup(steps=3, groups=2, particles=4))
    base = run.baseline()
    assert base.problem.times == run.problem.times
    torch.testing.assert_close(base.loop.start()[0].population.x, run.loop.start()[0].population.x)


def test_a_picture_is_noised_to_later_times_alone(tmp_path: Path) -> None:
    Image.new("L", (2, 1)).save(tmp_path / "two.png")
    path, setup = str(tmp_path / "two.png"), Setup(steps=3, groups=1, particles=2, weights="kernel")
    assert run_of(setup, NoisedImage(path, 0.7)).problem.times == pytest.approx((0.7, 0.8, 0.9, 1.0))
    for t0 in (0.2, T0):
        with pytest.raises(ValueError, match=rf"sampler\.start\.t0={t0}: must be above 0\.4, where this model begins"):
            run_of(setup, NoisedImage(path, t0))


@pytest.mark.parametrize("method", [noise_opt, noise_smc, auto, multi_best_of_n])
@pytest.mark.parametrize("look_ahead", ["none", "denoiser"])
def test_what_generates_nothing_is_refused(method: Callable, look_ahead: str) -> None:
    with pytest.raises(ValueError, match="makes no samples of noise"):
        run_of(Setup(look_ahead=look_ahead, steps=3, groups=1, particles=2), mode=method)


@pytest.mark.parametrize("method", [noise_opt, multi_best_of_n])
def test_methods_in_noise_space_land_from_the_first_time(method: Callable) -> None:
    run = run_of(Setup(steps=3, groups=2, particles=5), mode=method)
    start, _ = run.loop.start()
    first = start if method is noise_opt else run.loop.step(start)[0]
    x = start.population.x.flatten(0, 1)
    landed = MODEL.flow_map((1 - T0) * x, torch.full((10,), T0), torch.ones(10))
    torch.testing.assert_close(first.population.tilt.sample.flatten(0, 1), landed.to(x))


def test_annealed_noise_is_refused() -> None:
    start = AnnealedStart(sweeps=2)
    with pytest.raises(ValueError, match=r"sampler\.start=annealed: .* begin after t = 0"):
        run_of(Setup(), start)


def test_a_run_without_a_first_time_is_left_alone() -> None:
    problem = run_of(Setup(steps=3, groups=1, particles=2)).problem
    assert problem.times == pytest.approx((T0, T0 + 0.2, T0 + 0.4, 1.0))
    plain = replace(problem, model=replace(problem.model, flow=replace(problem.model.flow, first_time=0.0)))
    assert normal_start(plain) is plain
