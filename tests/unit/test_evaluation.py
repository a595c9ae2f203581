"""The figures of a flow map against closed forms."""

import math

import pytest
import torch
from torch import Tensor

from fmtt import noise
from fmtt.path import expand
from fmtt.training import evaluation

RATE = 0.7


def linear(x: Tensor, s: Tensor, t: Tensor) -> Tensor:
    """Average velocity of ``dx/dt = RATE x``, whose flow map is ``exp(RATE (t - s)) x``."""
    span = expand(t - s, x)
    return torch.where(span == 0, RATE, torch.expm1(RATE * span) / torch.where(span == 0, 1, span)) * x


def euler(x: Tensor, s: Tensor, t: Tensor) -> Tensor:
    """A flow map that is wrong off the diagonal: one Euler step of the same ODE."""
    return RATE * x


@pytest.fixture
def x() -> Tensor:
    return noise.normal((12, 1, 4, 4), 0, "test")


def test_ode_path_follows_linear_flow(x: Tensor) -> None:
    path = evaluation.ode_path(linear, x, 40)
    assert path.shape == (12, 5, 1, 4, 4)
    for index, t in enumerate((0, 0.25, 0.5, 0.75, 1)):
        torch.testing.assert_close(path[:, index], math.exp(RATE * t) * x, rtol=1e-4, atol=1e-5)


def test_ode_path_needs_quarters(x: Tensor) -> None:
    with pytest.raises(ValueError, match="multiple of 4"):
        evaluation.ode_path(linear, x, 10)


def test_exact_map_has_no_error(x: Tensor) -> None:
    errors = evaluation.accuracy_of_map(linear, evaluation.ode_path(linear, x, 100), chunk=5)
    assert max(errors["1 jump"].values()) < 1e-4
    assert max(errors["4 jumps"].values()) < 1e-4
    assert evaluation.consistency(linear, x, seed=0, chunk=5) < 1e-5


def test_errors_of_an_euler_map_and_of_the_denoiser(x: Tensor) -> None:
    errors = evaluation.accuracy_of_map(euler, evaluation.ode_path(linear, x, 100), chunk=5)
    for t in evaluation.QUARTERS:
        truth, one = math.exp(RATE * (1 - t)), 1 + RATE * (1 - t)
        four = (1 + RATE * (1 - t) / 4) ** 4
        assert errors["1 jump"][f"{t:g}"] == pytest.approx(1 - one / truth, abs=1e-4)
        assert errors["denoiser"][f"{t:g}"] == errors["1 jump"][f"{t:g}"]
        assert errors["4 jumps"][f"{t:g}"] == pytest.approx(1 - four / truth, abs=1e-4)


def test_semigroup_error_of_an_euler_map(x: Tensor) -> None:
    t, u = torch.full((12,), 0.2), torch.full((12,), 0.6)
    one, two = 1 + RATE * 0.8, (1 + RATE * 0.4) ** 2
    torch.testing.assert_close(evaluation.semigroup_error(euler, x, t, u), torch.full((12,), two / one - 1))


def test_chunks_do_not_matter(x: Tensor) -> None:
    torch.testing.assert_close(
        evaluation.chunked(lambda part: evaluation.jumps(euler, part, 0.0, 3), 5, x), evaluation.jumps(euler, x, 0.0, 3)
    )


def test_frechet_distance_of_gaussians() -> None:
    """``|m|^2 + sum (a - b)^2`` for diagonal covariances ``a^2, b^2``, whatever the basis."""
    first, second = noise.normal((2, 50_000, 3), 0, "frechet").double()
    basis, _ = torch.linalg.qr(noise.normal((3, 3), 0, "basis").double())
    a, b, mean = torch.tensor([1.0, 2.0, 0.5]), torch.tensor([1.5, 2.0, 1.0]), torch.tensor([0.3, 0.0, -0.4])
    distance = evaluation.frechet_distance((first * a) @ basis, (second * b + mean) @ basis)
    assert distance == pytest.approx(0.25 + 0.5**2 + 0.5**2, rel=0.03)
    assert evaluation.frechet_distance(first, first) == pytest.approx(0, abs=1e-8)


def test_recognised_and_histogram() -> None:
    logits = torch.tensor([[5.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 9.0, 0.0], [0.1, 0.0, 0.0]])
    assert evaluation.recognised(logits) == 0.5
    assert evaluation.histogram(logits) == [2, 2, 0]


def test_samples_are_drawn(tmp_path) -> None:
    rows = {name: noise.normal((20, 1, 28, 28), 0, name) for name in ("1 jump", "ode")}
    evaluation.draw_samples(rows, tmp_path / "samples.png")
    assert (tmp_path / "samples.png").stat().st_size > 1000
