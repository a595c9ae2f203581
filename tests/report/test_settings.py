"""Settings tell runs apart by what was resolved, not only by what was typed."""

from pathlib import Path

import pytest

from fmtt.report.comparison.controls import order
from fmtt.report.comparison.run_summary import parse_overrides, read_run_summary
from fmtt.report.comparison.settings import (
    Settings,
    as_typed,
    default_grouping,
    distinguishing_settings,
    line_setting,
    read_settings,
)
from fmtt.run_folder import read_overrides
from fmtt.studies.runs import read_budget
from tests.run_folder import make_run


def settings(typed: dict[str, str], **known: str) -> Settings:
    return Settings(typed, {name.replace("__", "."): value for name, value in known.items()} | typed)


def read(folder: Path) -> Settings:
    return read_settings(folder, parse_overrides(read_overrides(folder)))


def test_a_run_without_an_override_has_its_default(tmp_path: Path) -> None:
    one = read(make_run(tmp_path / "one", overrides=("sampler.steps=32",)))
    other = read(make_run(tmp_path / "other", steps=32, overrides=("mode=beam",)))
    assert other.value("sampler.steps") == one.value("sampler.steps") == "32" and other.value("mode") == "beam"
    assert other.value("nothing") == ""
    assert distinguishing_settings([one, other]) == ["mode"], "the same number of steps, whether it was typed or not"


def test_a_run_that_was_refused_has_what_was_recorded_before(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", overrides=("+sampler.steps=3", "~sampler.grid"))
    (folder / "config.yaml").rename(folder / ".hydra" / "config.yaml")
    assert read(folder).value("sampler.steps") == "3" and read(folder).value("sampler.grid") == "deleted"
    (folder / ".hydra" / "config.yaml").unlink()
    assert read(folder).value("sampler.steps") == "3", "what was typed"


def test_a_budget_is_read_whether_it_was_typed_or_not(tmp_path: Path) -> None:
    without = make_run(tmp_path / "run")
    with pytest.raises(ValueError, match=r"run: had no budget\.nfe, and a frontier compares runs that have one"):
        read_budget(read_run_summary(without, "run"))
    config = without / "config.yaml"
    config.write_text(config.read_text() + "budget: {nfe: 40}\n")
    assert read_budget(read_run_summary(without, "run")) == 40


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (32.0, "32"), (0.5, "0.5"), (True, "true"), (None, "null"), ([1, "a"], '[1,"a"]'), ("x y", "x y"),
        (10**20, f"1{'0' * 20}"),
    ],
)  # fmt: skip
def test_values_are_written_as_they_are_typed(value: object, text: str) -> None:
    assert as_typed(value) == text


def test_a_setting_that_follows_from_another_is_no_setting_of_its_own() -> None:
    runs = [settings({"mode": mode, "seed": seed}, mode___target_=f"fmtt.{mode}", sampler__steps="8")
            for mode in "ab" for seed in "01"]  # fmt: skip
    assert distinguishing_settings(runs) == ["mode", "seed"]
    assert default_grouping(runs, distinguishing_settings(runs)) == ["mode"]


def test_what_was_changed_in_a_file_tells_runs_apart_too() -> None:
    runs = [settings({"mode": "a"}, sampler__steps=steps, sampler__twin=steps) for steps in ("8", "16")]
    assert distinguishing_settings(runs) == ["sampler.steps"]


def test_what_does_not_change_results_tells_nothing() -> None:
    assert (
        distinguishing_settings(
            [settings({"launcher": name, "hydra.sweep.dir": name, "logger/x": name}) for name in "ab"]
        )
        == []
    )


def test_the_look_ahead_that_comes_with_a_mode_is_not_grouped_by() -> None:
    pairs = [("fmrg", "flowmap1"), ("search", "flowmap4"), ("beam", "flowmap4")]
    runs = [settings({"mode": mode}, lookahead=lookahead) for mode, lookahead in pairs]
    assert distinguishing_settings(runs) == ["lookahead", "mode"] and default_grouping(
        runs, distinguishing_settings(runs)
    ) == ["mode"]
    runs += [settings({"mode": "beam"}, lookahead="none")]
    assert default_grouping(runs, distinguishing_settings(runs)) == ["lookahead", "mode"], "beam has two of them"


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["mode", "sampler.steps", "budget.nfe"], "budget.nfe"), (["mode.keep", "sampler.steps"], "sampler.steps"),
        (["mode", "mode.keep"], "mode.keep"), (["mode", "reward.scale"], None), ([], None),
    ],
)  # fmt: skip
def test_points_are_joined_along_what_a_budget_is_spent_on(names: list[str], expected: str | None) -> None:
    runs = [settings(dict.fromkeys(names, value) | {"mode": "a"}) for value in "12"]
    assert line_setting(names, runs) == expected


def test_values_stand_in_the_order_of_their_size() -> None:
    assert sorted(["", "b", "10", "9", "1e1", "a"], key=order) == ["9", "10", "1e1", "a", "b", ""]


def test_runs_of_two_configurations_are_told_apart_though_their_seeds_differ() -> None:
    """A default that was changed in a file between two calls, each with seeds of its own."""
    runs = [settings({"seed": str(seed)}, sampler__steps="8" if seed < 3 else "16") for seed in range(6)]
    assert distinguishing_settings(runs) == ["seed", "sampler.steps"]
    assert default_grouping(runs, distinguishing_settings(runs)) == ["sampler.steps"]
