"""What is taken has an effect, or a warning says that it has none: ``make fuzz`` tries 200 command lines."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings

from fmtt.run import build
from tests.reliability.effects import without_effect
from tests.reliability.plausible_lines import plausible_lines

TRIES = int(os.environ.get("FMTT_TRIES", "40")) // 10  # each takes several runs


@settings(
    max_examples=TRIES, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.generate),
)  # fmt: skip
@given(plausible_lines)
@example(["mode=multi_best_of_n", "sampler/epsilon=constant", "sampler.epsilon.c=0.9"])  # one warning is about both
def test_no_setting_is_taken_without_an_effect(words: list[str]) -> None:
    assert without_effect(words) == []


def test_a_setting_without_an_effect_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mutant: nothing is said of settings that a mode does not use."""
    words = ["mode=base", "sampler/chi=paper"]
    assert without_effect(words) == []
    monkeypatch.setattr(build, "warn_of_unused", lambda *_: None)
    assert without_effect(words) == ["sampler/chi=paper"]
