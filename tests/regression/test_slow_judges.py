"""Judges that were asked at the same time answered in any order, and scores landed on the wrong images.

A judge with random delays gives every sample the score that a judge without gives it, alone and inside a run.
"""

import time

import torch
from torch import Tensor

import fmtt
from fmtt.flow import noise
from fmtt.methods import presets as modes
from fmtt.methods.baselines import best_of_n
from fmtt.rewards.judge import Judge
from tests.support import GAUSSIAN

DELAYS = noise.uniform((64,), 9, "delays") / 100


def prompt(sample: Tensor) -> float:
    return float(sample[0] - 2 * sample[1])


def late(sample: Tensor) -> float:
    """The same answer after a delay that differs from sample to sample."""
    time.sleep(DELAYS[int(abs(float(sample[0])) * 1e4) % len(DELAYS)].item())
    return prompt(sample)


def test_every_score_belongs_to_its_sample() -> None:
    x = noise.normal((40, 2), 0, "x")
    expected = torch.tensor([prompt(sample) for sample in x])
    for workers in (1, 7, 40):
        assert torch.equal(Judge(late, workers)(x), expected)


def test_a_run_does_not_depend_on_the_delays() -> None:
    quick, slow = (
        fmtt.sample(GAUSSIAN, Judge(score, 16), mode=best_of_n, groups=2, particles=20, steps=2)
        for score in (prompt, late)
    )
    assert torch.equal(quick.samples, slow.samples)
    assert torch.equal(quick.rewards, slow.rewards)
    assert torch.equal(quick.selected, slow.selected)


def test_judges_steer_where_no_gradient_is_needed() -> None:
    judged = fmtt.sample(GAUSSIAN, Judge(late, 16), mode=modes.base, groups=2, particles=4, steps=2)
    expected = (judged.samples[..., 0] - 2 * judged.samples[..., 1]).double()
    torch.testing.assert_close(judged.rewards, expected)
