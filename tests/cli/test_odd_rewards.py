"""Rewards that misbehave get a line that says what they did, and when; nothing that was computed is lost."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import fmtt as fmtt_package
from fmtt.flow.faults import CallError
from tests.command import Outcome
from tests.odd_rewards import KINDS
from tests.support import GAUSSIAN

PLAIN = ("baseline=false", "report=false")
SAID = {
    "shape": r"a reward must return shape \(\d+,\), got \(\d+,\)",
    "column": r"a reward must return shape \(\d+,\), got \(\d+, 1\)",
    "detached": "the reward is not differentiable, and this mode needs its gradient",
    "list": "the reward must return a tensor, got list",
    "number": "the reward must return a tensor, got float",
    "none": "the reward must return a tensor, got NoneType",
    "complex": r"the reward must return real numbers, got torch\.complex64",
    "raising": r"the reward failed with KeyError: 'missing' \(.*odd_rewards\.py, line \d+\)",
    "exit": r"the reward failed with SystemExit: enough \(.*odd_rewards\.py, line \d+\)",
    "undefined": "the reward is nan for particle 0 of group 0",
}


def odd(fmtt: Callable[..., Outcome], tmp_path: Path, target: str, *words: str) -> Outcome:
    (tmp_path / "my" / "reward").mkdir(parents=True, exist_ok=True)
    (tmp_path / "my" / "reward" / "odd.yaml").write_text(f"_target_: tests.odd_rewards.{target}\nscale: 1.0\n")
    return fmtt(f"--config-dir={tmp_path / 'my'}", "reward=odd", "mode.ess_threshold=1", *PLAIN, *words)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "undefined"])
def test_at_the_start_it_is_a_mistake_of_the_configuration(
    fmtt: Callable[..., Outcome], tmp_path: Path, kind: str
) -> None:
    done = odd(fmtt, tmp_path, "Odd", f"+reward.kind={kind}")
    assert done.status == 2
    assert re.fullmatch(f"fmtt: {SAID[kind]}", done.complaint), done.complaint


@pytest.mark.parametrize("kind", KINDS)
def test_later_the_step_is_named_and_a_checkpoint_left(fmtt: Callable[..., Outcome], tmp_path: Path, kind: str) -> None:
    done = odd(fmtt, tmp_path, "Odd", f"+reward.kind={kind}", "+reward.good=7")
    assert done.status == 1, done.err
    where = {"undefined": " at", "detached": ", at"}.get(kind, ", in groups 0 to 1, at")
    line = rf"fmtt: {SAID[kind]}{where} step [1-4]; checkpoint in .*; the same command with resume=true goes on from it"
    assert re.fullmatch(line, done.complaint), done.complaint
    assert len(list(done.folder.glob("checkpoint-*.pt"))) == 1 and (done.folder / "history.csv").is_file()


@pytest.mark.parametrize(
    ("target", "warning"),
    [
        ("Changing", "the reward changes the samples that it is given"),
        (
            "Relative",
            "the reward of a sample depends on the other samples of its batch, or on chance; weights are wrong",
        ),
        (
            "ByChance",
            "the reward of a sample depends on the other samples of its batch, or on chance; weights are wrong",
        ),
    ],
)
def test_what_is_no_function_of_the_sample_is_warned_of(
    fmtt: Callable[..., Outcome], tmp_path: Path, target: str, warning: str
) -> None:
    done = odd(fmtt, tmp_path, target)
    assert done.status == 0, done.err
    assert [line for line in done.complaint.splitlines() if warning in line] == done.complaint.splitlines()


def test_a_small_reward_is_compared_by_its_own_size(fmtt: Callable[..., Outcome], tmp_path: Path) -> None:
    done = odd(fmtt, tmp_path, "Relative", "+reward.size=1e-4")
    assert "depends on the other samples" in done.complaint


def test_the_groups_of_the_batch_are_named(fmtt: Callable[..., Outcome], tmp_path: Path) -> None:
    words = ("+reward.kind=raising", "population.groups=3", "population.particles=4", "population.chunk=4")
    done = odd(fmtt, tmp_path, "Odd", *words, "+reward.good=13")
    line = r"the reward failed with KeyError: 'missing' \(.*\), in group [0-2], at step [1-4];"
    assert re.search(line, done.complaint), done.complaint


def test_a_good_reward_gets_no_warning(fmtt: Callable[..., Outcome], tmp_path: Path) -> None:
    done = odd(fmtt, tmp_path, "Odd", "+reward.kind=none", "+reward.good=1000")
    assert (done.status, done.complaint) == (0, "")


@pytest.mark.parametrize("mode", ["fk_steering", "best_of_n", "noise_smc"])
@pytest.mark.parametrize("kind", [torch.int64, torch.bool])
def test_whole_numbers_and_truths_are_rewards(mode: str, kind: torch.dtype) -> None:
    def sampled(reward: Callable[[torch.Tensor], torch.Tensor]) -> fmtt_package.Result:
        return fmtt_package.sample(
            GAUSSIAN, reward, mode=getattr(fmtt_package.modes, mode), groups=2, particles=8, steps=4,
            look_ahead=lambda model: fmtt_package.FlowMapJumps(model, 1),
        )  # fmt: skip

    found = sampled(lambda x: (x > 0).sum(1).to(kind))
    expected = sampled(lambda x: (x > 0).sum(1).to(kind).to(x.dtype))
    assert torch.equal(found.samples, expected.samples) and torch.equal(found.rewards, expected.rewards)
    assert found.rewards.is_floating_point() and found.rewards.unique().numel() > 1
    with pytest.raises(CallError, match="not differentiable"):
        fmtt_package.sample(
            GAUSSIAN, lambda x: (x > 0).sum(1).to(kind), mode=fmtt_package.modes.search, groups=1, particles=2, steps=3
        )
