"""The table of GenEval in small, from verdicts that are known."""

import math
from dataclasses import replace

import pytest
import torch

from fmtt.studies.scenes_geneval import Verdicts, draw_hacking, geneval_table, look_aheads_table, short_name

CATEGORY = ("colours", "colours", "binding", "binding")


def verdicts(right: list[float], yes: list[float]) -> Verdicts:
    said = {"right": torch.tensor(right), "says_yes": torch.tensor(yes), "broken": torch.zeros(4)}
    return Verdicts(said, CATEGORY, 64.0, 0.5)


def test_over_all_is_the_mean_over_categories_with_the_error_over_prompts() -> None:
    found = verdicts([1.0, 0.5, 0.25, 0.0], [1.0, 1.0, 1.0, 1.0])
    assert found.share("right", "colours") == pytest.approx((0.75, 0.25))
    assert found.share("right", "binding") == pytest.approx((0.125, 0.125))
    assert found.over_all("right") == pytest.approx((0.4375, math.hypot(0.25, 0.125) / 2))


def test_methods_are_ordered_and_hacking_is_shown() -> None:
    methods = {"worse": verdicts([0.0, 0.0, 0.0, 0.0], [1.0] * 4), "better": verdicts([1.0, 1.0, 1.0, 0.0], [1.0] * 4)}
    lines = geneval_table(methods).splitlines()
    head = "| method | cost | seconds | colours | binding | over all | reward says yes | broken | below the best |"
    assert lines[0] == head
    assert (
        lines[2]
        == "| better | 64 | 0.50 | 100.0 ± 0.0 | 50.0 ± 50.0 | 75.0 ± 25.0 | 100.0 ± 0.0 | 0.0 ± 0.0 | 0.0 ± 0.0 |"
    )
    assert lines[3].startswith("| worse | 64 | 0.50 | 0.0 ± 0.0 | 0.0 ± 0.0 | 0.0 ± 0.0 | 100.0 ± 0.0 |")
    axis = draw_hacking(methods).axes[0]
    assert [handle.get_label() for handle in axis.containers] == ["worse", "better"]


def test_gains_are_paired_by_prompt() -> None:
    base, better = verdicts([0.5, 0.0, 0.25, 0.25], [1.0] * 4), verdicts([0.75, 0.25, 0.5, 0.75], [1.0] * 4)
    gain, error = better.gain(base)
    assert gain == pytest.approx((0.25 + 0.375) / 2)
    assert error == pytest.approx(math.hypot(0.0, 0.125) / 2)  # both prompts of the first category gain the same
    jumps = replace(verdicts([0.0] * 4, [0.0] * 4), cost=4.0)
    lines = geneval_table({"base steps=1": jumps, "base": base, "search": better}).splitlines()
    assert lines[0].endswith("| below the best | gain |")
    assert lines[2].startswith("| search") and lines[2].endswith("| 0.0 ± 0.0 | 31.2 ± 6.2 |")
    assert lines[3].startswith("| base |") and lines[3].endswith("| 31.2 ± 6.2 | 0.0 ± 0.0 |")


def test_look_aheads_are_compared_with_the_denoiser() -> None:
    slow, fast = verdicts([0.5, 0.0, 0.25, 0.25], [1.0] * 4), verdicts([0.75, 0.25, 0.5, 0.75], [1.0] * 4)
    methods = {"search lookahead=denoiser": slow, "search lookahead=flowmap1": fast, "beam lookahead=flowmap1": fast}
    assert look_aheads_table(methods).splitlines()[2:] == ["| search lookahead=flowmap1 | 31.2 ± 6.2 |"]
    damped = {"search lookahead=denoiser sampler/damping=gaussian": fast} | methods
    assert look_aheads_table(damped).splitlines()[3] == "| search lookahead=flowmap1 | 31.2 ± 6.2 |"
    assert look_aheads_table({"beam": fast}) == ""


def test_short_names_tell_methods_apart() -> None:
    damped = "search lookahead=flowmap1 reward.scale=1 sampler/damping=gaussian mode.window=[0,0.25]"
    assert short_name(damped) == "search flowmap1 damped"
    assert short_name("base sampler.steps=1 sampler/transport=flowmap") == "base flowmap 1 steps"
    assert short_name("best_of_n sampler.steps=6 sampler.transport=midpoint") == "best_of_n midpoint 6 steps"
    assert short_name("auto sampler.steps=4") == "auto"
