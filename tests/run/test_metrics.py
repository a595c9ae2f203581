"""Metrics of a run whose groups were held by several processes."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch

import fmtt
from fmtt.api import Run
from fmtt.flow.protocols import Verdict
from fmtt.methods.loop import totals
from fmtt.run import metrics as results
from fmtt.run.budget import Budget
from fmtt.run.metrics import final_metrics, of_prompts, over_prompts
from fmtt.run.outcome import Outcome, Timing
from fmtt.run.prompts import Prompts
from fmtt.run.verdicts import returned_rows, verdicts_by_prompt
from fmtt.run_folder import Metrics
from tests.conditional import MEANS, ConditionalGaussian, ConditionalQuadratic

TIMING, BUDGET = Timing(0.0, 0.0, 0.0, 0.0), Budget()


def run(numbers: Sequence[int] | None = None) -> Run:
    return fmtt.assemble(
        ConditionalGaussian(), ConditionalQuadratic(), conditions=list(MEANS), groups=3, particles=8, steps=4,
        mode=fmtt.modes.importance(ess_threshold=1.0), group_numbers=numbers,
    )  # fmt: skip


def outcome(of: Run) -> Outcome:
    summed = None
    for state, info in of.loop.run():
        reached, summed = state, totals(info, summed)
    base = of.baseline()
    return Outcome(fmtt.finish(of, reached), summed, fmtt.finish(base, base.loop.last()), reached.step)


def metrics_by_prompt(of: Run, finished: Outcome) -> list[Metrics]:
    return results.metrics_by_prompt(of, finished, verdicts_by_prompt(of, finished, None))


def test_metrics_of_gathered_parts_are_those_of_the_whole() -> None:
    whole, parts = run(), [run(range(2)), run(range(2, 7)), run(range(7, 9))]
    gathered, expected = Outcome.joined([outcome(part) for part in parts]), outcome(whole)
    found, right = metrics_by_prompt(whole, gathered), metrics_by_prompt(whole, expected)
    assert repr(found) == repr(right)
    assert len(found) == 3
    assert gathered.result.meter.counts == expected.result.meter.counts
    assert repr(over_prompts(found)) == repr(over_prompts(right))


def test_metrics_over_prompts_combine_as_their_names_say() -> None:
    names = ("log_z", "a/stderr", "reward/max", "ess/min", "reward/mean", "exact/mean")
    values = [([1.0, 2.0], 3.0, 1.0, 0.5, 1.0, [0.0, 4.0]), ([3.0, 4.0], 4.0, 5.0, 0.2, 2.0, [2.0, 0.0])]
    parts = [dict(zip(names, row, strict=True)) for row in values]
    assert over_prompts(parts) == {
        "log_z": [1.0, 2.0, 3.0, 4.0], "a/stderr": 2.5, "reward/max": 5.0, "ess/min": 0.2, "reward/mean": 1.5,
        "exact/mean": [1.0, 2.0],
    }  # fmt: skip
    named = of_prompts(Prompts(["a", "b"], ["first", ""]), parts)
    assert named["prompt/1/reward/max"] == 5.0
    assert named["category/first/reward/max"] == 1.0 and "category//reward/max" not in named
    assert "prompt/1/log_z" not in named


def test_counts_are_those_of_the_whole_run() -> None:
    whole = run()
    finished = outcome(whole)
    metrics = final_metrics(whole, finished, metrics_by_prompt(whole, finished), TIMING, BUDGET)
    assert metrics["nfe/forward"] == whole.meter.forward > 0
    assert metrics["population/prompts"] == 3 and metrics["population/groups"] == 9
    assert "nfe/decode" not in metrics


@pytest.mark.parametrize("prompt", range(3))
def test_each_prompt_has_its_own_exact_answer(prompt: int) -> None:
    whole = run()
    parts = metrics_by_prompt(whole, outcome(whole))
    condition = ConditionalGaussian().encode_prompts(list(MEANS))[prompt]
    form = ConditionalQuadratic().quadratic_form(2, condition)
    assert parts[prompt]["exact/log_z"] == pytest.approx(ConditionalGaussian().law(condition).tilted(*form)[1].item())


def test_the_verdict_on_a_returned_sample_is_its_own() -> None:
    whole = run()
    finished = outcome(whole)
    said = verdicts_by_prompt(whole, finished, None)
    rows, result = returned_rows(finished, said), finished.result
    means = ConditionalGaussian().encode_prompts(list(MEANS))
    assert [row["group"] for row in rows] == list(range(9))
    for row in rows:
        group, number = row["group"], row["prompt"]
        chosen = result.selected[group]
        assert number == group // 3
        assert row["reward"] == result.rewards[group, chosen].item()
        assert row["beyond"] == float(result.samples[group, chosen, 0] > means[number, 0])
    assert 0 < sum(row["beyond"] for row in rows) < 9


def test_verdicts_are_averaged_over_particles_and_over_returned_samples() -> None:
    whole = run()
    finished = outcome(whole)
    said = verdicts_by_prompt(whole, finished, None)
    rows = returned_rows(finished, said)
    means = ConditionalGaussian().encode_prompts(list(MEANS))
    for number, metrics in enumerate(metrics_by_prompt(whole, finished)):
        part = finished.result.groups(finished.result.prompt == number)
        values = (part.samples[..., 0] > means[number, 0]).double()
        weights = part.log_weights.softmax(1)
        assert metrics["beyond"] == pytest.approx((weights * values).sum(1).mean().item())
        assert metrics["beyond/unweighted"] == pytest.approx(values.mean().item())
        own = [row["beyond"] for row in rows if row["prompt"] == number]
        assert metrics["beyond/selected"] == pytest.approx(sum(own) / 3)


class Halves:
    """An evaluator: the half plane, sure beyond a distance of 1; the features are the points."""

    classes = 2

    def __call__(self, x: torch.Tensor) -> Verdict:
        return Verdict((x[:, 0] > 0).long(), x[:, 0].abs() > 1)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        return x


def test_returned_samples_are_graded_by_the_evaluator_of_the_model() -> None:
    whole = run()
    finished = outcome(whole)
    said = verdicts_by_prompt(whole, finished, None)
    rows, result = returned_rows(finished, said, Halves()), finished.result
    chosen = result.samples[torch.arange(9), result.selected].double()
    for row in rows:
        own = chosen[3 * row["prompt"] : 3 * row["prompt"] + 3]
        others = (own - chosen[row["group"]]).norm(dim=1).sum() / 2
        assert row["apart"] == pytest.approx(others.item(), rel=1e-6)
        assert row["recognised"] == float(chosen[row["group"], 0].abs() > 1)
    assert 0 < sum(row["recognised"] for row in rows) < 9
