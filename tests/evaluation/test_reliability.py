"""Doubts are raised where an answer is not to be trusted, and only there."""

import pytest

from fmtt.evaluation.reliability import reasons_for_doubt

GOOD = {
    "log_z": [0.0, 0.1],
    "population/particles": 100,
    "ess/final": 0.5,
    "ess/min": 0.3,
    "ancestors/unique": 40.0,
    "log_z/genealogical_stderr": 0.1,
    "log_z/low": -0.2,
    "log_z/high": 0.2,
    "log_z/spread": 0.1,
    "log_z/tail_stderr": 0.1,
    "kl": 0.5,
    "overshoot": 0.02,
}


def test_a_good_run_raises_none() -> None:
    assert reasons_for_doubt(GOOD) == []
    assert reasons_for_doubt({name: value for name, value in GOOD.items() if name != "overshoot"}) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"ess/final": 0.049}, "the weights leave 9.8 effective particles of 200"),
        ({"ancestors/unique": 4.5}, "all particles descend from 9 of 200"),
        ({"ess/min": 0.019}, "a group came down to 1.9 effective particles of 100"),
        ({"log_z/spread": 0.36}, "log Z of a group has an error of 0.36"),
        (
            {"log_z/tail_stderr": 0.21},
            "the largest weights may not have been drawn: by the tails of the others log Z has",
        ),
        (
            {"log_z/tail_stderr": 1e8},
            "the largest weights may not have been drawn: by the tails of the others log Z has",
        ),
        ({"overshoot": 0.3, "kl": 0.0}, "steps overshoot by 0.30 of the variance"),
        ({"kl": -1.1}, "the length of the steps may change log Z by 0.04"),
    ],
)
def test_each_doubt(change: dict[str, float], words: str) -> None:
    (found,) = reasons_for_doubt(GOOD | change)
    assert found.startswith(words)


RETURNED = {"reward/selected_mean/stderr": 0.3, "reward/base_mean/stderr": 0.4}


@pytest.mark.parametrize(
    ("scale", "returned", "base", "doubted"),
    [(1.0, -2.1, 0.0, True), (1.0, -1.9, 0.0, False), (1.0, 5.0, 0.0, False), (-1.0, 2.1, 0.0, True),
     (-1.0, -2.1, 0.0, False)],
)  # fmt: skip
def test_samples_worse_than_those_of_the_base_model_are_doubted(
    scale: float, returned: float, base: float, doubted: bool
) -> None:
    """The difference has a standard error of .5."""
    known = RETURNED | {"reward/scale": scale, "reward/selected_mean": returned, "reward/base_mean": base}
    found = reasons_for_doubt(known)
    assert bool(found) == doubted and all("worse than those of the base model" in line for line in found)
    assert reasons_for_doubt({name: value for name, value in known.items() if "base" not in name}) == []
    assert reasons_for_doubt({name: value for name, value in known.items() if name != "reward/scale"}) == []
    one_group = known | {"reward/selected_mean/stderr": float("nan")}
    assert reasons_for_doubt(one_group) == []


def test_a_run_without_weights_claims_nothing_to_doubt() -> None:
    bad = GOOD | {"ess/final": 0.0}
    assert reasons_for_doubt(bad)
    assert reasons_for_doubt({name: value for name, value in bad.items() if name != "log_z/genealogical_stderr"}) == []
