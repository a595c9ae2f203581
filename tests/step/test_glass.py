"""GLASS transitions: the law of the next point and its covariance with this one, in closed form for Gaussian data."""

from functools import partial

import pytest
import torch
from torch import Tensor

import fmtt
from fmtt.flow import noise
from fmtt.flow.batches import Batches
from fmtt.flow.meter import Meter, MeteredModel
from fmtt.flow.protocols import as_flow
from fmtt.flow.schedules import ZeroEpsilon
from fmtt.methods import presets as modes
from fmtt.methods.baselines import fk_steering, svdd
from fmtt.smc.diagnostics import mean_and_error
from fmtt.step.interval import Interval
from fmtt.step.transport import Departure, Glass
from fmtt.tilt.look_ahead import Denoiser, NoLookAhead
from tests.support import GAUSSIAN, MIXTURE, REWARDS, Truth, z_scores

GROUPS, PARTICLES = 64, 400
MEAN, VARIANCE = GAUSSIAN.law.mean.float(), (GAUSSIAN.law.second_moment - GAUSSIAN.law.mean**2).float()


def interval(t: float, t_next: float) -> Interval:
    return Interval(t, t_next, 0.0, 0.0, t, t_next, False)


def nowhere(x: Tensor, t: float) -> Tensor:
    raise AssertionError("it asks the model itself")


def at(t: float, noise_of: Tensor, data: Tensor) -> Tensor:
    return (1 - t) * noise_of + t * data


def moments(inner: int, times: tuple[float, float]) -> list[Tensor]:
    """Group means of ``x'``, ``x'^2`` and ``x x'`` after one transition from points with the law of t, ``(G, 2)``."""
    e, data, draw = noise.normal((3, GROUPS, PARTICLES, 2), 5, "glass")
    x = at(times[0], e, MEAN + VARIANCE.sqrt() * data)
    y = Glass(GAUSSIAN, inner).move(Departure(x, None, None, None, (), draw), interval(*times), nowhere, Batches()).x
    return [values.double().mean(1) for values in (y, y**2, x * y)]


def truth(times: tuple[float, float]) -> list[Tensor]:
    (a, c), (a2, c2) = ((t, 1 - t) for t in times)
    rho = a * c2 / (a2 * c)
    square = a2**2 * (VARIANCE + MEAN**2) + c2**2
    return [a2 * MEAN, square, a * a2 * (VARIANCE + MEAN**2) + rho * c * c2]


@pytest.mark.parametrize("times", [(0.0, 0.3), (0.2, 0.5), (0.5, 0.9), (0.6, 1.0)])
def test_transition_is_that_of_the_noising_process(times: tuple[float, float]) -> None:
    """The error of the inner Euler steps is of first order; extrapolated from 32 and 64 nothing is left."""
    coarse, fine = moments(32, times), moments(64, times)
    for one, two, expected in zip(coarse, fine, truth(times), strict=True):
        for d in range(2):
            mean, error = mean_and_error(2 * two[:, d] - one[:, d])
            assert abs(mean - expected[d].item()) < 4 * error + 2e-3
            wide, _ = mean_and_error(one[:, d])
            near, _ = mean_and_error(two[:, d])
            assert abs(wide - near) < 0.08


@pytest.mark.parametrize("steps", [2, 6])
def test_mixture_is_reached_in_few_steps(steps: int) -> None:
    """The outer steps leave no error: few of them are as good as many."""
    found = []
    for inner in (24, 48):
        run = fmtt.assemble(
            MIXTURE, REWARDS["linear"], mode=modes.base, look_ahead=NoLookAhead, epsilon=ZeroEpsilon(), steps=steps,
            transport=partial(Glass, steps=inner), groups=GROUPS, particles=PARTICLES, chunk=10**6,
        )  # fmt: skip
        x = run.loop.last().population.x.double()
        found.append(torch.cat([x.mean(1), (x**2).mean(1)], dim=1))
    expected = torch.cat([MIXTURE.law.mean, MIXTURE.law.second_moment])
    for d in range(4):
        mean, error = mean_and_error(2 * found[1][:, d] - found[0][:, d])
        assert abs(mean - expected[d].item()) < 4 * error + 4e-3


def test_steering_through_it_hits_the_closed_form() -> None:
    law, log_z = GAUSSIAN.law.tilted(*REWARDS["quadratic"].quadratic_form(2))
    run = fmtt.assemble(
        GAUSSIAN, REWARDS["quadratic"], mode=partial(fk_steering, interval=1, resampler="systematic"),
        look_ahead=Denoiser, epsilon=ZeroEpsilon(), transport=partial(Glass, steps=128), steps=4, groups=128,
        particles=64, chunk=10**6,
    )  # fmt: skip
    scores = z_scores(run.loop.last().population, Truth(law.mean, law.second_moment, log_z))
    assert max(map(abs, scores.values())) < 4


def test_cost_is_that_of_the_inner_steps() -> None:
    meter = Meter()
    model = MeteredModel(as_flow(GAUSSIAN), meter)
    start = Departure(torch.zeros(2, 5, 2), None, None, None, (), torch.ones(2, 5, 2))
    Glass(model, 3).move(start, interval(0.2, 0.5), nowhere, Batches(4))
    assert meter.forward == 3 * 10


@pytest.mark.parametrize("weights", ["jarzynski", "material"])
def test_weights_that_follow_the_ode_are_refused(weights: str) -> None:
    with pytest.raises(ValueError, match=r"sampler\.transport=glass"):
        fmtt.assemble(
            GAUSSIAN, REWARDS["linear"], mode=partial(modes.importance, weights=weights), epsilon=ZeroEpsilon(),
            transport=Glass,
        )  # fmt: skip


def test_its_noise_parts_clones() -> None:
    fmtt.assemble(GAUSSIAN, REWARDS["linear"], mode=svdd, epsilon=ZeroEpsilon(), transport=Glass)
    with pytest.raises(ValueError, match=r"sampler\.epsilon"):
        fmtt.assemble(GAUSSIAN, REWARDS["linear"], mode=svdd, epsilon=ZeroEpsilon())
