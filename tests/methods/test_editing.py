"""Runs that start from a noised picture, against the closed form of Gaussian data; the picture has two pixels."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import pytest
import torch
from PIL import Image
from torch import Tensor

from fmtt.api import Run, assemble
from fmtt.flow.protocols import Flow
from fmtt.flow.schedules import ConstantEpsilon, Epsilon, PowerEpsilon, PowerGrid, RampFrom, ZeroEpsilon
from fmtt.methods import presets as modes
from fmtt.methods.annealed_start import AnnealedStart
from fmtt.methods.auto import auto
from fmtt.methods.editing import NoisedImage
from fmtt.methods.noise_opt import noise_opt
from fmtt.methods.noise_smc import noise_smc
from fmtt.methods.problem import Problem, normal_start
from fmtt.methods.rounds import multi_best_of_n
from fmtt.smc.diagnostics import log_mean_and_error, mean_and_error, weighted_mean
from fmtt.step.transport import Euler, FlowMapTransport
from fmtt.step.weights import WEIGHTS
from tests.gaussian_chain import reference
from tests.support import GAUSSIAN, LOOK_AHEADS, REWARDS, Setup, worst

SHAPE = (1, 1, 2)
T0 = 0.4
PIXELS = (0, 204)  # -1 and .6


@dataclass(frozen=True)
class LateGrid:
    """The grid of an edit, written down a second time."""

    def times(self, steps: int) -> tuple[float, ...]:
        return tuple(T0 + (1 - T0) * t for t in PowerGrid().times(steps))


def flat(function: Callable) -> Callable:
    return lambda x, *times: function(x.reshape(-1, 2), *times).reshape(-1, *SHAPE)


MODEL = Flow(SHAPE, flat(GAUSSIAN.velocity), flat(GAUSSIAN.flow_map), exact_flow_map=True)


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("pictures") / "two.png"
    file = Image.new("L", (2, 1))
    file.putdata(PIXELS)
    file.save(path)
    return str(path)


def edit(
    setup: Setup, start: Callable[[Problem], Problem], mode: Callable = modes.importance, model: Flow = MODEL
) -> Run:
    return assemble(
        model, lambda x: REWARDS[setup.reward](x.reshape(-1, 2)), look_ahead=LOOK_AHEADS[setup.look_ahead],
        mode=partial(mode, weights=setup.weights) if mode is modes.importance else mode, steps=setup.steps,
        epsilon=setup.epsilon, transport=setup.transport, start=start, groups=setup.groups, particles=setup.particles,
        chunk=setup.chunk, seed=setup.seed,
    )  # fmt: skip


def found(run: Run, setup: Setup) -> float:
    """Largest deviation from the law of the edits in standard errors."""
    late = setup.but(grid=LateGrid(), ramp=lambda t: (t - T0) / (1 - T0))
    population = run.loop.last().population
    return worst(replace(population, x=population.x.flatten(2)), reference(late, (-T0, 0.6 * T0)))


RIGHT = [
    ("kernel", "denoiser", PowerEpsilon(), Euler),
    ("kernel", "none", ConstantEpsilon(0.5), Euler),
    ("kernel", "flowmap1", PowerEpsilon(), FlowMapTransport),
    ("jarzynski", "flowmap1", ZeroEpsilon(), FlowMapTransport),
    ("material", "denoiser", ZeroEpsilon(), Euler),
]


@pytest.mark.parametrize(("weights", "look_ahead", "epsilon", "transport"), RIGHT, ids=str)
def test_edits_have_their_tilted_law(picture: str, weights: str, look_ahead: str, epsilon: Epsilon, transport) -> None:
    setup = Setup(weights=weights, look_ahead=look_ahead, epsilon=epsilon, transport=transport, seed=40)
    assert found(edit(setup, NoisedImage(picture, T0)), setup) < 4


@pytest.mark.parametrize("forgotten", ["times", "image"])
def test_neither_times_nor_picture_may_be_forgotten(picture: str, forgotten: str) -> None:

    def mutant(problem: Problem) -> Problem:
        unchanged = torch.zeros(SHAPE) if forgotten == "image" else getattr(problem, forgotten)
        return replace(NoisedImage(picture, T0)(problem), **{forgotten: unchanged})

    setup = Setup(weights="kernel", look_ahead="denoiser", seed=40)
    assert found(edit(setup, mutant), setup) > 6


def test_the_tilt_begins_with_the_edit(picture: str) -> None:
    """The ramp is zero at t0, so that particles start with equal weights."""
    setup = Setup(weights="kernel", groups=2, particles=4)
    population = edit(setup, NoisedImage(picture, T0)).loop.start()[0].population
    assert not population.tilt.value.any() and not population.log_weights.any()
    early = edit(setup, lambda problem: replace(NoisedImage(picture, T0)(problem), tilt=problem.tilt))
    assert early.loop.start()[0].population.log_weights.all()


def test_a_window_of_guidance_is_one_of_the_edit(picture: str) -> None:
    """The first quarter of the steps, as it would be from noise."""
    setup, mode = Setup(steps=8, groups=2, particles=4), partial(modes.tilted_ode, window=(0, 0.25))
    for start in (NoisedImage(picture, T0), normal_start):
        loop = edit(setup, start, mode).loop
        assert [interval.guided for interval in loop.intervals] == [True] * 2 + [False] * 6


@pytest.mark.parametrize(("weights", "look_ahead"), [("jarzynski", "flowmap1"), ("material", "denoiser")])
def test_weights_that_trust_the_noise_are_refused_and_would_be_wrong(picture: str, weights: str, look_ahead) -> None:
    """What leaves the law of the model invariant does not leave that of the edits."""
    setup = Setup(weights=weights, look_ahead=look_ahead, epsilon=ConstantEpsilon(1.0), steps=200, groups=32, seed=41)
    with pytest.raises(ValueError, match=r"mode\.weights: .* begin at t = 0\.4 .*use mode\.weights=kernel"):
        edit(setup, NoisedImage(picture, T0))
    right = setup.but(weights="kernel")
    run = edit(right, NoisedImage(picture, T0))
    assert found(run, right) < 4
    dynamics = replace(run.loop.dynamics, weights=WEIGHTS[weights]())
    assert found(replace(run, loop=replace(run.loop, dynamics=dynamics)), right) > 6


def affine(x: Tensor) -> Tensor:
    """Where edits from the noise ``x (G, N, *D)`` land, written down a second time."""
    image = torch.tensor(PIXELS) / 127.5 - 1
    t0 = torch.full((x[..., 0, 0, 0].numel(),), T0)
    start = (T0 * image.reshape(SHAPE) + (1 - T0) * x).flatten(0, 1).to(GAUSSIAN.law.mean)
    return MODEL.flow_map(start, t0.to(start), torch.ones_like(t0).to(start)).reshape(x.shape)


@pytest.mark.parametrize("method", [noise_opt, noise_smc, auto, multi_best_of_n])
def test_methods_in_noise_space_land_from_the_picture(picture: str, method: Callable) -> None:
    setup = Setup(steps=3, groups=2, particles=5)
    run = edit(setup, NoisedImage(picture, T0), mode=method)
    start, _ = run.loop.start()
    first, _ = next(iter(run.loop.run())) if method is not multi_best_of_n else run.loop.step(start)
    torch.testing.assert_close(first.population.tilt.sample, affine(start.population.x).to(start.population.x))


def test_the_slope_of_an_edit_is_that_of_its_noise(picture: str) -> None:
    run = edit(Setup(reward="linear", steps=3, groups=1, particles=2), NoisedImage(picture, T0), mode=noise_opt)
    population = run.loop.start()[0].population
    x = population.x.clone().requires_grad_()
    reward = run.loop.tilt.scale * REWARDS["linear"](affine(x).reshape(-1, 2)).sum()
    torch.testing.assert_close(population.tilt.gradient, torch.autograd.grad(reward, x)[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("forgotten", [None, "image"])
def test_noise_smc_draws_edits_from_their_tilted_law(picture: str, forgotten: str | None) -> None:
    """Edits of noise are ``m + L z``; tilted by a.x their mean is ``m + L L' a``, and log Z is a.m + |L'a|^2/2."""

    def start(problem: Problem) -> Problem:
        late = NoisedImage(picture, T0)(problem)
        return late if forgotten is None else replace(late, image=torch.zeros(SHAPE))

    setup = Setup(reward="linear", steps=8, groups=64, particles=64, chunk=4096, seed=42)
    run = edit(setup, start, mode=noise_smc)
    population = run.loop.last().population
    zero = affine(torch.zeros(1, 1, *SHAPE, dtype=torch.float64)).flatten()
    basis = torch.eye(2, dtype=torch.float64).reshape(1, 2, *SHAPE)
    spread = (affine(basis).reshape(2, 2) - zero).T
    point = torch.zeros(1, 2, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(run.loop.tilt.scale * REWARDS["linear"](point).sum(), point)
    pushed = spread.T @ slope[0]
    origin = run.loop.tilt.scale * REWARDS["linear"](torch.zeros(1, 2, dtype=torch.float64)).item()
    log_z = origin + slope[0] @ zero + pushed.square().sum() / 2
    means = weighted_mean(population.x.flatten(2), population.log_weights)
    scores = [abs(value - exact) / error for (value, error), exact in [
        (log_mean_and_error(population.log_evidence), log_z.item()),
        *((mean_and_error(means[:, i]), (zero + spread @ pushed)[i].item()) for i in range(2)),
    ]]  # fmt: skip
    assert max(scores) < 4 if forgotten is None else max(scores) > 6


def test_a_start_of_annealed_noise_is_for_runs_through_time_alone() -> None:

    def start(problem: Problem) -> Problem:
        return AnnealedStart(sweeps=2)(replace(problem, tilt=replace(problem.tilt, ramp=RampFrom(0.5))))

    with pytest.raises(ValueError, match=r"sampler\.start: .* has a start of its own"):
        edit(Setup(), start, mode=noise_opt)


@pytest.mark.parametrize("t0", [0, 1, -0.1, 1.5])
def test_the_share_of_the_picture_lies_between_nothing_and_all(picture: str, t0: float) -> None:
    with pytest.raises(ValueError, match=r"sampler\.start\.t0"):
        NoisedImage(picture, t0)


def test_a_model_of_points_makes_no_pictures(picture: str) -> None:
    with pytest.raises(ValueError, match=r"sampler\.start\.path=.*needs a model of pictures"):
        assemble(GAUSSIAN, REWARDS["linear"], start=NoisedImage(picture, T0))


def test_history_begins_at_t0(picture: str) -> None:
    run = edit(Setup(steps=3, groups=1, particles=2, epsilon=ZeroEpsilon()), NoisedImage(picture, T0))
    assert [state.t for state, _ in run.loop.run()] == pytest.approx([0.4, 0.6, 0.8, 1.0])
