"""Objectives: zero for the exact flow map of a Gaussian, and not for a perturbed one."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from fmtt.flow import noise
from fmtt.flow.interpolant import expand
from fmtt.training import objectives, off_diagonal
from fmtt.training.captioned import Drawn
from fmtt.training.objectives import AverageVelocity
from tests.support import GAUSSIAN, standardised

B = 64


def exact(x: Tensor, s: Tensor, t: Tensor) -> Tensor:
    """Average velocity ``(X_{s,t}(x) - x) / (t - s)`` of the Gaussian's flow map, without 0/0 at s = t."""
    s, t, mean, variance = expand(s, x), expand(t, x), GAUSSIAN.mean.to(x), GAUSSIAN.std.to(x) ** 2
    sigma_s, sigma_t = (((1 - u) ** 2 + u**2 * variance).sqrt() for u in (s, t))
    return mean + (x - s * mean) / sigma_s * ((s + t) * (1 + variance) - 2) / (sigma_s + sigma_t)


def perturbed(x: Tensor, s: Tensor, t: Tensor) -> Tensor:
    """Right on the diagonal, wrong off it."""
    return exact(x, s, t) + 0.5 * expand(t - s, x) * torch.sin(2 * x)


def other_flow(x: Tensor, s: Tensor, t: Tensor) -> Tensor:
    """A flow map of its own, of another velocity: a constant drift."""
    return torch.ones_like(x)


def draw() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    x = noise.normal((B, 2), 0, "x").double()
    s, t = noise.uniform((2, B), 0, "times").sort(0).values
    return x, s, t, noise.uniform((B,), 0, "h")


def progressive(net: AverageVelocity, teacher: AverageVelocity) -> Tensor:
    return objectives.progressive(net, teacher, *draw())


def lagrangian(net: AverageVelocity, teacher: AverageVelocity) -> Tensor:
    return objectives.lagrangian(net, teacher, *draw()[:3])


def eulerian(net: AverageVelocity, teacher: AverageVelocity) -> Tensor:
    return objectives.eulerian(net, teacher, *draw()[:3])


def trajectory(net: AverageVelocity, teacher: AverageVelocity) -> Tensor:
    x, s, t, _ = draw()
    return objectives.trajectory(net, x, x + expand(t - s, x) * exact(x, s, t), s, t)


ALL = pytest.mark.parametrize("loss", [progressive, lagrangian, eulerian, trajectory])


def test_exact_average_velocity_is_that_of_the_flow_map() -> None:
    x, s, t, _ = draw()
    torch.testing.assert_close(x + expand(t - s, x) * exact(x, s, t), GAUSSIAN.flow_map(x, s, t))
    torch.testing.assert_close(exact(x, t, t), GAUSSIAN.velocity(x, t))


@ALL
def test_exact_flow_map_has_no_loss(loss: Callable[..., Tensor]) -> None:
    values = loss(exact, exact)
    assert values.shape == (B,)
    assert values.max() < 1e-12


@ALL
def test_perturbed_flow_map_has(loss: Callable[..., Tensor]) -> None:
    assert loss(perturbed, exact).mean() > 1e-2


@pytest.mark.parametrize("loss", [lagrangian, eulerian])
def test_flow_map_of_another_velocity_has_too(loss: Callable[..., Tensor]) -> None:
    """It is a semigroup, so that only identities that ask the teacher for its velocity can tell."""
    assert loss(other_flow, exact).mean() > 0.1
    assert progressive(other_flow, other_flow).max() < 1e-12


@ALL
def test_only_the_network_is_trained(loss: Callable[..., Tensor]) -> None:
    """Gradients of the loss reach the network and not the teacher."""
    for teach in (False, True):
        theta = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)

        def moved(x: Tensor, s: Tensor, t: Tensor, theta: Tensor = theta) -> Tensor:
            return exact(x, s, t) + theta * expand(t - s, x) * torch.sin(2 * x) + theta * 0.1

        value = loss(exact, moved) if teach else loss(moved, exact)
        assert value.requires_grad != teach
        if not teach:
            (slope,) = torch.autograd.grad(value.mean(), theta)
            assert slope > 1e-3


def test_midpoint_and_uniform_progressive_agree_with_two_jumps() -> None:
    """The target written out: ``(X_{u,t}(X_{s,u}(x)) - x) / (t - s)``."""
    x, s, t, h = draw()
    u = h * s + (1 - h) * t
    middle = x + expand(u - s, x) * perturbed(x, s, u)
    end = middle + expand(t - u, x) * perturbed(middle, u, t)
    expected = ((exact(x, s, t) - (end - x) / expand(t - s, x)).square().mean(1)).float()
    torch.testing.assert_close(objectives.progressive(exact, perturbed, x, s, t, h), expected, rtol=1e-4, atol=1e-6)


def test_flow_matching_at_the_exact_velocity_is_the_conditional_variance() -> None:
    """``Var(x_1 - x_0 | x_t)``, in closed form for a Gaussian; any other velocity adds its squared distance."""
    count = 40_000
    x0 = noise.normal((count, 2), 0, "x0").double()
    x1, t = GAUSSIAN.law.sample(count, 5), noise.uniform((count,), 0, "t")
    variance, time = GAUSSIAN.std**2, t[:, None]
    path = (1 - time) ** 2 + time**2 * variance
    minimum = (1 + variance - (time * variance - (1 - time)) ** 2 / path).mean(1)
    loss = objectives.flow_matching(exact, x0, x1, t)
    assert abs(standardised(loss - minimum)) < 4
    shifted = objectives.flow_matching(lambda x, s, t: exact(x, s, t) + 0.5, x0, x1, t)
    assert abs(standardised(shifted - minimum - 0.25)) < 4
    assert standardised(shifted - loss) > 6


@pytest.mark.parametrize(
    "kind",
    [off_diagonal.ProgressiveMidpoint, off_diagonal.ProgressiveUniform, off_diagonal.Lagrangian, off_diagonal.MeanFlow],
)
def test_configured_objectives_tell_the_exact_flow_map(kind) -> None:
    images = GAUSSIAN.law.sample(B, 1).float()
    right, wrong = (kind(seed=0)(net, exact, Drawn(images), 3) for net in (exact, perturbed))
    assert right.shape == (B,)
    assert right.max() < 1e-8
    assert wrong.mean() > 1e-3


def test_points_are_keyed_ordered_and_end_in_the_data_as_often_as_told() -> None:
    images = GAUSSIAN.law.sample(20_000, 1).float()
    points = off_diagonal.Points(seed=0, to_data=0.4)
    x, s, t, h = points.draw(images, 3)
    assert (s <= t).all()
    assert s.min() >= 0
    assert t.max() <= 1
    share = (t == 1).double()
    assert abs(standardised(share - 0.4)) < 4
    assert all(torch.equal(a, b) for a, b in zip(points.draw(images, 3), (x, s, t, h), strict=True))
    assert not torch.equal(points.draw(images, 4)[1], s)
    residual = (x - s[:, None] * images) / (1 - s[:, None]).clamp_min(0.05)
    assert abs(standardised(residual[s < 0.9].double().square().mean(1) - 1)) < 4
