"""The trials of tuning are those that the ranges give, and all of them can be run."""

import shlex
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from fmtt.run.build import build
from fmtt.run.configs import CONFIGS
from fmtt.studies.trials import TRIALS, drawn_trials, write_trials

DATA = Path(__file__).resolve().parents[2] / "docs" / "data"
FILES = sorted((DATA / "trials").glob("*/*.txt"))
RANGES = [["a=1", "a=2", "a=3"], ["b=1", ""], ["c=1", "c=2", "c=3", "c=4", "c=5"]]
SMALL = ("model=gaussian", "reward=quadratic", "logger=none", "baseline=false", "budget.nfe=1000")


def test_trials_differ_and_the_published_setting_is_first() -> None:
    found = drawn_trials("beam", "maximise", RANGES)
    assert found[0] == "mode=beam role=maximise"
    assert len(set(found)) == TRIALS
    assert all(line.startswith("mode=beam role=maximise a=") and " c=" in line for line in found[1:])
    assert found == drawn_trials("beam", "maximise", RANGES)
    assert found[1:] != [line.replace("das", "beam") for line in drawn_trials("das", "maximise", RANGES)[1:]]


def test_too_few_combinations_are_refused() -> None:
    with pytest.raises(ValueError, match="maximise beam: has only 6 combinations for 23 trials"):
        drawn_trials("beam", "maximise", RANGES[:2])


def test_the_trials_in_docs_are_those_of_the_ranges(tmp_path: Path) -> None:
    written = write_trials(DATA / "ranges.yaml", tmp_path)
    assert sorted(path.relative_to(tmp_path) for path in written) == [
        file.relative_to(DATA / "trials") for file in FILES
    ]
    for path in written:
        assert path.read_text() == (DATA / "trials" / path.relative_to(tmp_path)).read_text()


@pytest.mark.slow
@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}-{file.stem}")
def test_every_fourth_trial_can_be_run(file: Path) -> None:
    for line in file.read_text().splitlines()[::4]:
        with initialize_config_dir(str(CONFIGS), version_base="1.3"):
            job = build(compose("config", overrides=[*SMALL, *shlex.split(line)]))
        assert job.run.role == file.parent.name, line
