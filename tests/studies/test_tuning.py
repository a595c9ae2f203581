"""The trials of tuning, and the rates of the base model, from verdicts that are known."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from fmtt import run_folder
from fmtt.studies.scenes_geneval import study_geneval
from fmtt.studies.scenes_rates import study_rates
from fmtt.studies.tuning import study_tuning
from tests.run_folder import make_run

TEXTS, CATEGORIES = ("a red star", "a blue star", "two red stars"), ("colours", "colours", "counting")


def trial(folder: Path, right: Sequence[float], *words: str) -> Path:
    """A run whose returned pictures, two of each prompt, are ``right`` or not."""
    make_run(folder, overrides=("experiment=scenes_geneval", "seed=0", *words), base=False,
             metrics={"nfe/weighted": 6 * 48, "nfe/weighted/group": 48, "time/method_s": 3})  # fmt: skip
    run_folder.write_prompts(folder, TEXTS, CATEGORIES, [{"reward/mean": 0.0}] * 3)
    rows = [
        {"group": k, "prompt": k // 2, "reward": -1.0, "says_yes": 1.0, "broken": 0.0, "right": value}
        for k, value in enumerate(right)
    ]
    run_folder.write_returned(folder, rows)
    return folder


def test_the_best_trial_of_each_method_is_taken_and_the_earlier_one_on_a_tie(tmp_path: Path) -> None:
    words = "population.groups=2", "prompts_file=tuning.txt", "budget.nfe=64", "role=maximise"
    trial(tmp_path / "beam" / "0", [0, 0, 0, 0, 1, 0], "mode=beam", "mode.rounds=4", *words)
    trial(tmp_path / "beam" / "1", [0, 0, 1, 0, 1, 0], "mode=beam", "mode.rounds=2", *words)
    trial(tmp_path / "beam" / "2", [1, 0, 0, 0, 0, 1], "mode=beam", "mode.rounds=8", *words)
    trial(tmp_path / "das" / "0", [1, 1, 1, 1, 0, 0], "mode=das", "reward.scale=4", *words)
    trial(tmp_path / "das" / "1", [0, 0, 0, 0, 1, 1], "mode=das", "reward.scale=16", *words)
    lines = study_tuning([tmp_path / "beam", tmp_path / "das"], tmp_path / "out").splitlines()
    assert (tmp_path / "out.txt").read_text() == "mode=beam mode.rounds=2\nmode=das reward.scale=4\n"
    assert [line.endswith("| taken |") for line in lines[2:]] == [False, True, False, True, False]
    assert "| beam | mode=beam mode.rounds=2 | 1 | 48 | 37.5 ± " in lines[3]


def test_folders_of_the_same_name_have_trials_of_one_method(tmp_path: Path) -> None:
    first, second = tmp_path / "first" / "das", tmp_path / "second" / "das"
    trial(second / "0", [1, 1, 1, 1, 0, 0], "mode=das", "sampler.steps=8")
    trial(first / "0", [1, 0, 1, 0, 0, 0], "mode=das", "sampler.steps=32")
    trial(first / "1", [0, 0, 1, 1, 1, 1], "mode=das", "sampler.steps=16")
    trial(second / "1", [1, 1, 1, 1, 1, 1], "mode=das", "sampler.steps=32")  # counts once, as it was first
    lines = study_tuning([first, second], tmp_path / "out").splitlines()
    assert (tmp_path / "out.txt").read_text() == "mode=das sampler.steps=16\n"
    assert [line.split(" | ")[1] for line in lines[2:]] == [f"mode=das sampler.steps={k}" for k in (32, 16, 8)]


def test_a_trial_has_no_success_where_its_smallest_run_costs_more_than_the_budget(tmp_path: Path) -> None:
    words = "population.groups=2", "prompts_file=tuning.txt", "role=maximise"
    for number, (rounds, nfe, right) in enumerate([(4, 64, 1), (4, 250, 1), (8, 250, 1), (8, 64, 1)]):
        folder = trial(tmp_path / "beam" / str(number), [right] * 6, "mode=beam", f"mode.rounds={rounds}",
                       f"budget.nfe={nfe}", *words)  # fmt: skip
    run_folder.write_error(folder, 2, "budget.nfe=64: the smallest run costs 80")
    lines = study_tuning([tmp_path / "beam"], tmp_path / "out").splitlines()
    assert "| 100.0 ± " in lines[2] and lines[2].endswith("| taken |")
    assert "| 50.0 ± " in lines[3] and lines[-1].endswith("the smallest run costs 80")


def test_a_method_without_trials_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no finished runs below .*beam"):
        study_tuning([tmp_path / "beam"], tmp_path / "out")


def test_what_failed_is_listed_below_the_tables(tmp_path: Path) -> None:
    trial(tmp_path / "0", [1] * 6, "mode=das", "budget.nfe=64")
    failed = trial(tmp_path / "1", [1] * 6, "mode=fmrg", "budget.nfe=16")
    run_folder.write_error(failed, 2, "budget.nfe=16: the smallest run costs 22")
    text = study_geneval([tmp_path], tmp_path / "out")
    assert text.count("| das |") == 1 and "| fmrg |" not in text
    assert text.endswith(
        "Without a row:\n\n- 1 mode=fmrg budget.nfe=16 failed: budget.nfe=16: the smallest run costs 22"
    )


def test_rates_of_the_base_model_name_the_prompts_that_it_never_shows(tmp_path: Path) -> None:
    trial(tmp_path / "base" / "0", [1, 0, 1, 1, 0, 0], "mode=base")
    trial(tmp_path / "base" / "1", [0, 0, 1, 1, 0, 0], "mode=base", "seed=1")
    trial(tmp_path / "base" / "2", [1] * 6, "mode=das")
    lines = study_rates([tmp_path / "base"], tmp_path / "out").splitlines()
    assert lines[2].startswith("| colours | 2 | 62.5 ± ") and lines[2].endswith(" | 25.0 | 100.0 | 0 |")
    assert lines[3].startswith("| counting | 1 | 0.0 ± ") and lines[3].endswith(" | 0.0 | 0.0 | 1 |")
    assert lines[-1] == "Never shown: two red stars"
    assert (tmp_path / "out.png").is_file()


def test_edits_are_tasks_of_one_trial(tmp_path: Path) -> None:
    for number, (t0, edited) in enumerate([(0.3, (0, 1)), (0.3, (0, 0)), (0.1, (1, 1)), (0.1, (1, 0))]):
        task = (f"sampler.start.path={number % 2}.png", f"prompt=a {number % 2}", "reward.terms.change.question=Is it?")
        words = ("experiment=scenes_edit", "mode=fmrg", f"sampler.start.t0={t0}", *task)
        metrics = {"nfe/weighted/group": 48}
        folder = make_run(tmp_path / "fmrg" / str(number), overrides=words, base=False, metrics=metrics)
        run_folder.write_prompts(folder, ["a"], [""], [{"reward/mean": 0.0}])
        rows = [{"group": k, "prompt": 0, "reward": -1.0, "right": 1.0, "edited": one} for k, one in enumerate(edited)]
        run_folder.write_returned(folder, rows)
    lines = study_tuning([tmp_path / "fmrg"], tmp_path / "out").splitlines()
    assert (tmp_path / "out.txt").read_text() == "mode=fmrg sampler.start.t0=0.1\n"
    assert [line.split(" ± ")[0] for line in lines[2:]] == [
        "| fmrg | mode=fmrg sampler.start.t0=0.3 | 2 | 48 | 25.0",
        "| fmrg | mode=fmrg sampler.start.t0=0.1 | 2 | 48 | 75.0",
    ]
