"""Settings that another setting, or the model, leaves without effect get a warning, and do have none."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.command import Outcome

FAST = ("report=false", "baseline=false")


def warned(done: Outcome) -> list[str]:
    """The warnings about settings without effect of a run that was done."""
    assert done.status == 0, done.err
    return [line for line in done.err.splitlines() if "has no effect" in line]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["budget.min_particles=5"], "there is no budget.nfe"),
        (["budget.decode_cost=3"], "this model has no decoder"),
        (["budget.decode_backward_cost=3"], "this model has no decoder"),
        (["mode.ess_threshold=1", "mode.resample_at=[2]"], "mode.resample_at is given"),
        (["sampler.probes=3"], "samples of at most 16 numbers have exact Laplacians"),
    ],
    ids=["min_particles", "decode_cost", "decode_backward_cost", "ess_threshold", "probes"],
)
def test_a_setting_without_effect_gets_a_warning(fmtt: Callable[..., Outcome], words: list[str], reason: str) -> None:
    done, without = fmtt(*words, *FAST), fmtt(*words[1:], *FAST, folder="without")
    name = words[0].partition("=")[0]
    assert (warned(done), warned(without)) == ([f"fmtt: warning: {name} has no effect: {reason}"], [])
    samples = [(run.folder / "samples.safetensors").read_bytes() for run in (done, without)]
    assert samples[0] == samples[1]


def test_auto_says_what_only_the_ascent_uses(fmtt: Callable[..., Outcome], tmp_path: Path) -> None:
    """A reward without a gradient gets best-of-N in rounds."""
    (tmp_path / "my" / "reward").mkdir(parents=True)
    (tmp_path / "my" / "reward" / "flat.yaml").write_text(
        "_target_: tests.odd_rewards.Odd\nkind: detached\nscale: 1.0\n"
    )
    flat = [f"--config-dir={tmp_path / 'my'}", "reward=flat", "mode=auto"]
    done, without = (fmtt(*flat, *word, *FAST, folder=str(len(word))) for word in (["mode.rate=3"], []))
    assert warned(done) == ["fmtt: warning: mode.rate has no effect: the reward is not differentiable"]
    assert warned(without) == warned(fmtt("mode=auto", "mode.rate=3", *FAST)) == []
    samples = [(run.folder / "samples.safetensors").read_bytes() for run in (done, without)]
    assert samples[0] == samples[1]


def test_settings_with_an_effect_get_none(fmtt: Callable[..., Outcome]) -> None:
    done = fmtt("budget.min_particles=5", "budget.nfe=200", "mode.ess_threshold=1", *FAST)
    assert warned(done) == []


def test_one_warning_is_enough(fmtt: Callable[..., Outcome]) -> None:
    done = fmtt("mode=noise_smc", "sampler.probes=3", *FAST)
    assert warned(done) == ["fmtt: warning: sampler.probes has no effect: this mode does not use it"]
