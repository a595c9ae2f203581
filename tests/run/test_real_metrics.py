"""The distance of returned samples to real ones of the wanted kind."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

import fmtt
from fmtt.data import mnist
from fmtt.evaluation.evaluators import DigitEvaluator
from fmtt.evaluation.feature_distances import kernel_distance
from fmtt.flow.protocols import Flow
from fmtt.rewards import Clock, Digit
from fmtt.run.real_metrics import FEWEST, real_metrics
from tests.command import Outcome

SHAPE = (1, 28, 28)


def result_of(reward: Callable[[Tensor], Tensor], groups: int, evaluator: DigitEvaluator | None) -> tuple:
    """Of a model whose samples are noise."""
    flow = Flow(SHAPE, lambda x, t: torch.zeros_like(x), lambda x, s, t: x, evaluator=evaluator)
    run = fmtt.assemble(flow, reward, mode=fmtt.modes.best_of_n, groups=groups, particles=2, steps=1)
    with torch.no_grad():
        return run, fmtt.api.finish(run, run.loop.last())


class Wanted:
    """A reward whose real samples are all grey."""

    def __call__(self, x: Tensor) -> Tensor:
        return x.mean((1, 2, 3))

    def real(self) -> Tensor:
        return torch.linspace(-0.1, 0.1, 20)[:, None, None, None].expand(-1, *SHAPE)


def test_the_returned_samples_are_compared_and_no_others() -> None:
    evaluator = DigitEvaluator()
    run, result = result_of(Wanted(), FEWEST, evaluator)
    returned = torch.stack([own[k] for own, k in zip(result.samples, result.selected, strict=True)])
    expected = kernel_distance(evaluator.features(returned), evaluator.features(Wanted().real()))
    found = real_metrics(run, result)
    assert (found["kid"], found["kid/stderr"]) == pytest.approx(expected)
    everything = kernel_distance(evaluator.features(result.samples.flatten(0, 1)), evaluator.features(Wanted().real()))
    assert found["kid"] != pytest.approx(everything[0])


def test_there_is_none_without_evaluator_real_samples_or_enough_of_them() -> None:
    assert real_metrics(*result_of(Wanted(), FEWEST, None)) == {}
    assert real_metrics(*result_of(lambda x: x.mean((1, 2, 3)), FEWEST, DigitEvaluator())) == {}
    assert real_metrics(*result_of(Wanted(), FEWEST - 1, DigitEvaluator())) == {}


@pytest.mark.skipif(not mnist.available(), reason="needs MNIST")
def test_real_digits_are_those_of_the_class() -> None:
    real = Digit(3).real()
    assert real is not None and real.shape[1:] == SHAPE and 900 < len(real) < 1100
    assert (Digit(3).statistics(real)["shows_the_digit"]).mean() > 0.95


def test_without_mnist_there_are_no_real_digits_and_nothing_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mnist, "candidates", lambda: [])
    assert Digit(3).real() is None


def test_real_clocks_show_the_time() -> None:
    clock = Clock("3:40")
    shown = clock.statistics(clock.real())
    assert shown["shows_the_time"].mean() > 0.95 and shown["legible"].mean() > 0.95


@pytest.mark.skipif(not mnist.available(), reason="needs MNIST")
def test_a_run_reports_it(fmtt: Callable[..., Outcome]) -> None:
    done = fmtt("model=mnist", "reward=digit", "mode=base", f"population.groups={FEWEST}", "report=false")
    assert done.status == 0, done.err
    assert done.metrics["kid/stderr"] > 0
