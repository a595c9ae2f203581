"""The figures of a flow map against closed forms."""

import math

import pytest
import torch
from torch import Tensor

from fmtt.evaluation.evaluators import DigitEvaluator
from fmtt.flow import noise
from fmtt.flow.interpolant import expand
from fmtt.flow.protocols import Verdict
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


class Sorter:
    """Sorts points by the sign of their first coordinate, sure of what lies beyond 1."""

    classes = 2

    def __call__(self, x: Tensor) -> Verdict:
        return Verdict((x[:, 0] > 0).long(), x[:, 0].abs() > 1)

    def features(self, x: Tensor) -> Tensor:
        return x


def test_quality_of_sets_of_samples() -> None:
    real = noise.normal((4000, 2), 0, "real")
    shifted = noise.normal((1000, 2), 0, "shifted") + torch.tensor([2.0, 0.0])
    figures = evaluation.quality({"shifted": shifted}, real, Sorter(), chunk=300)
    assert figures["recognised"]["shifted"] == pytest.approx(0.8427, abs=0.04)
    assert figures["recognised"]["real"] == pytest.approx(0.3173, abs=0.05)
    assert figures["recognised"]["whole test set"] == pytest.approx(0.3173, abs=0.025)
    assert figures["frechet"]["shifted"] == pytest.approx(4.0, abs=0.4)
    assert figures["frechet"]["real"] < 0.02
    below, above = figures["histogram"]["shifted"]
    assert below + above == 1000
    assert below == pytest.approx(22.8, abs=20)
    assert figures["counts"] == {"samples": 1000, "real": 1000, "reference": 2000}


def test_gates_open_for_what_is_good_enough() -> None:
    limits = {"ode": 0.9, "four": 0.05, "one": 0.1, "quarter": 0.2, "half": 0.1, "noise": 0.3}
    figures = {
        "recognised": {"ode": 0.95, "4 jumps": 0.91, "1 jump": 0.86},
        "relative_error": {"1 jump": {"0.25": 0.15, "0.5": 0.09}, "4 jumps": {"0": 0.25}},
        "frechet": {"4 jumps": 2.0, "1 jump": 3.0},
    }
    assert all(evaluation.gates(figures, limits).values())
    stricter = {"ode": 0.96, "four": 0.03, "one": 0.08, "quarter": 0.1, "half": 0.05, "noise": 0.2}
    for name, limit in stricter.items():
        assert list(evaluation.gates(figures, {**limits, name: limit}).values()).count(False) == 1


def test_digit_evaluator_is_sure_above_nine_tenths() -> None:
    evaluator = DigitEvaluator()
    images = 0.3 * noise.normal((50, 1, 28, 28), 0, "images") - 0.8
    probabilities = evaluator.network(images).double().softmax(1)
    label, sure = evaluator(images)
    assert torch.equal(label, probabilities.argmax(1))
    assert torch.equal(sure, probabilities.amax(1) > 0.9)
    assert 0 < sure.double().mean() < 1
    assert torch.equal(evaluator.features(images), evaluator.network.features(images))


def test_samples_are_drawn(tmp_path) -> None:
    rows = {name: noise.normal((20, 1, 28, 28), 0, name) for name in ("1 jump", "ode")}
    evaluation.draw_samples(rows, tmp_path / "samples.png")
    assert (tmp_path / "samples.png").stat().st_size > 1000
