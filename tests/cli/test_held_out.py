"""A second reward that is reported and not optimised, and what the first one costs."""

import csv
import math
from collections.abc import Callable

import pytest
from safetensors.torch import load_file

from fmtt.rewards.server import JudgeError
from tests.command import Outcome


def test_a_held_out_reward_is_reported_and_changes_nothing(fmtt: Callable[..., Outcome]) -> None:
    plain = fmtt("mode=search", folder="plain")
    done = fmtt("mode=search", "reward@held_out=linear", "held_out.direction=[0,1]", folder="held_out")
    assert done.status == 0, done.err
    samples, same = (load_file(run.folder / "samples.safetensors") for run in (done, plain))
    assert samples["samples"].equal(same["samples"])
    for name, metric in {"samples": "held_out/unweighted", "base": "held_out/base_mean"}.items():
        assert done.metrics[metric] == pytest.approx(samples[name][..., 1].mean().item(), rel=1e-5)
    assert "held_out" not in plain.metrics
    assert {name for name in done.metrics if name not in plain.metrics} == {
        "held_out", "held_out/stderr", "held_out/unweighted", "held_out/selected", "held_out/selected/stderr",
        "held_out/base_mean", "held_out/base_mean/stderr",
    }  # fmt: skip
    with (done.folder / "returned.csv").open(newline="") as file:
        assert "held_out" in next(csv.DictReader(file))
    assert "held out, returned, base model" in done.out
    assert "Held-out reward" in (done.folder / "report.html").read_text()
    assert done.metrics["nfe/reward"] == plain.metrics["nfe/reward"]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["held_out=halfplane"], "fmtt: held_out=halfplane: write reward@held_out=halfplane"),
        (
            ["reward@held_out=halfplane", "held_out.scale=2"],
            "fmtt: held_out.scale: has no effect; a held-out reward is shown without its scale",
        ),
        (["reward@held_out=symmetry"], "fmtt: reward symmetry needs images"),
    ],
)
def test_a_held_out_reward_that_cannot_be_is_refused(fmtt: Callable[..., Outcome], words: list[str], line: str) -> None:
    done = fmtt(*words)
    assert done.status == 2 and done.complaint.startswith(line), done.complaint


def test_a_held_out_judge_that_dies_at_the_end_leaves_a_checkpoint(
    fmtt: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = fmtt("reward@held_out=halfplane", folder="whole")

    def down(*_: object) -> None:
        raise JudgeError("the judge is down")

    with monkeypatch.context() as broken:
        broken.setattr("fmtt.run.execute.verdicts_by_prompt", down)
        stopped = fmtt("reward@held_out=halfplane", folder="stopped")
    assert stopped.status == 1 and "resume=true" in stopped.complaint
    resumed = fmtt("reward@held_out=halfplane", "resume=true", folder="stopped")
    assert resumed.metrics["held_out"] == whole.metrics["held_out"]


def test_the_divergence_is_that_of_a_tilted_gaussian(fmtt: Callable[..., Outcome]) -> None:
    size = ["population.groups=16", "population.particles=256", "sampler.steps=30"]
    done = fmtt("model=gaussian", "reward=linear", "reward.direction=[0.6,-0.3]", "report=false", *size)
    mean, log_z = done.metrics["exact/reward"], done.metrics["exact/log_z"]
    exact = mean - log_z
    assert exact > 0.1 and not math.isnan(done.metrics["kl/stderr"])
    assert abs(done.metrics["kl"] - exact) < 3 * done.metrics["kl/stderr"], (done.metrics["kl"], exact)
