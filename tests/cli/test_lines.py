"""Sweeps over the lines of files."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hydra._internal.core_plugins.basic_launcher import BasicLauncher

from fmtt.report.comparison.sweep import read_sweep
from tests.command import Outcome

PLAIN = ("report=false", "baseline=false", "lookahead=denoiser")


@pytest.fixture
def sweep(fmtt: Callable[..., Outcome], tmp_path: Path) -> Callable[..., Outcome]:
    """``sweep("first lines", "second lines", "word", ...)`` writes the files and sweeps over them."""

    def run(tasks: str, trials: str, *words: str) -> Outcome:
        (tmp_path / "tasks").write_text(tasks)
        (tmp_path / "trials").write_text(trials)
        files = f"hydra.sweeper.files=[{tmp_path / 'tasks'},{tmp_path / 'trials'}]"
        return fmtt("-m", "hydra/sweeper=lines", files, *words, *PLAIN, folder="sweep")

    return run


def test_every_line_of_one_file_runs_with_every_line_of_the_other(sweep: Callable[..., Outcome]) -> None:
    tasks = "# tasks\nreward=linear reward.direction=[1,0]\n\nreward=quadratic\n"
    done = sweep(tasks, "mode=base\nmode=search mode.rounds=1,2\n", "seed=3,4")
    assert done.status == 0, done.err
    found = [
        (run.settings["seed"], run.settings["reward"], run.settings["mode"], run.settings.get("mode.rounds"))
        for run in read_sweep(done.folder)
    ]
    modes = [("base", None), ("search", "1"), ("search", "2")]
    assert sorted(found, key=str) == sorted(
        [(seed, reward, *mode) for seed in "34" for reward in ("linear", "quadratic") for mode in modes], key=str
    )
    assert (done.folder / "summary.csv").is_file()


def test_words_of_lines_count_more_than_typed_ones(sweep: Callable[..., Outcome]) -> None:
    done = sweep("sampler.steps=3\n", "'reward.direction=[1, 0]'\n", "sampler.steps=5")
    assert done.status == 0, done.err
    assert [run.metrics["steps"] for run in read_sweep(done.folder)] == [3]


@pytest.mark.parametrize(
    ("trials", "complaint"),
    [("# nothing\n", "trials: has no lines"), ("mode=nonsense\n", "nonsense"), ("a b c\n", "a")],
)
def test_bad_lines_get_one_line(sweep: Callable[..., Outcome], trials: str, complaint: str) -> None:
    done = sweep("seed=0\n", trials)
    assert done.status == 2
    assert complaint in done.complaint and len(done.complaint.splitlines()) == 1


def test_a_missing_file_is_named(fmtt: Callable[..., Outcome]) -> None:
    done = fmtt("-m", "hydra/sweeper=lines", "hydra.sweeper.files=[nowhere.txt]", *PLAIN)
    assert (done.status, done.complaint) == (2, "fmtt: hydra.sweeper.files: nowhere.txt: No such file or directory")
    without = fmtt("-m", "hydra/sweeper=lines", *PLAIN)
    assert without.status == 2 and "hydra.sweeper.files" in without.complaint


@pytest.mark.parametrize("sweeper", ["basic", "lines"])
def test_no_more_runs_are_started_together_than_was_said(
    fmtt: Callable[..., Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sweeper: str
) -> None:
    """Clusters limit the length of an array: see docs/cluster.md."""
    started: list[tuple[int, int]] = []
    launch = BasicLauncher.launch

    def counted(launcher: BasicLauncher, jobs: list[list[str]], initial_job_idx: int) -> object:
        started.append((initial_job_idx, len(jobs)))
        return launch(launcher, jobs, initial_job_idx)

    monkeypatch.setattr(BasicLauncher, "launch", counted)
    (tmp_path / "seeds").write_text("seed=0,1,2\nseed=3,4\n")
    runs = [f"hydra.sweeper.files=[{tmp_path / 'seeds'}]"] if sweeper == "lines" else ["seed=0,1,2,3,4"]
    done = fmtt("-m", f"hydra/sweeper={sweeper}", *runs, "hydra.sweeper.max_batch_size=2", *PLAIN)
    assert done.status == 0, done.err
    assert started == [(0, 2), (2, 2), (4, 1)]
    assert sorted(run.settings["seed"] for run in read_sweep(done.folder)) == list("01234")


@pytest.mark.parametrize(
    ("sweeper", "value"), [("basic", "0"), ("basic", "-1"), ("lines", "0"), ("lines", "-1"), ("lines", "word")]
)
def test_no_runs_at_a_time_are_refused_in_one_line(
    fmtt: Callable[..., Outcome], tmp_path: Path, sweeper: str, value: str
) -> None:
    (tmp_path / "seeds").write_text("seed=0,1\n")
    runs = [f"hydra.sweeper.files=[{tmp_path / 'seeds'}]"] if sweeper == "lines" else ["seed=0,1"]
    done = fmtt("-m", f"hydra/sweeper={sweeper}", *runs, f"hydra.sweeper.max_batch_size={value}", *PLAIN)
    allowed = "must be a whole number of at least 1"
    assert (done.status, done.complaint) == (2, f"fmtt: hydra.sweeper.max_batch_size={value}: {allowed}")
    assert not done.folder.exists()
