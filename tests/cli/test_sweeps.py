"""What a sweep says while it runs and at its end, and what a sweeper that tunes makes of it."""

import csv
import io
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from omegaconf import OmegaConf

from fmtt.methods.trajectory import Trajectory
from fmtt.run import sweep_progress as progress
from fmtt.run.sweep_progress import ENDED, Progress, Tally, line, note
from fmtt.run_folder import read_metrics
from tests.command import SMALL, Outcome

ROOT = Path(__file__).resolve().parents[2]
QUICK = ("-m", "baseline=false", "report=false")


@pytest.fixture
def at_terminal(fmtt, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Outcome]:
    """``fmtt`` where stderr says that it is a terminal."""

    def command(*words: str, small: bool = True) -> Outcome:
        monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
        return fmtt(*words, small=small)

    return command


def last_line(err: str) -> str:
    """What the line of progress was when it was left."""
    return re.findall(r"\r(\d+ of \d+ runs[^\r]*)\r", err)[-1]


def means(folder: Path) -> list[float]:
    """The value of every run that is done."""
    return [json.loads(file.read_text())["reward/weighted_mean"] for file in folder.glob("*/metrics.json")]


def test_a_line_tells_how_far_a_sweep_is() -> None:
    assert line(Tally(3, 1, 0.534), 12, 10) == "3 of 12 runs, 1 failed, best reward 0.534, 00:10<00:30"
    assert line(Tally(1, 1, -math.inf), 12, 10) == "1 of 12 runs, 1 failed, 00:10<01:50"
    assert line(Tally(0, 0, -math.inf), 12, 2) == "0 of 12 runs, 0 failed, 00:02<?"


def test_the_line_follows_the_runs_while_they_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "PERIOD", 0.01)
    stream = io.StringIO()
    watching = Progress(tmp_path, 3, stream)
    for value, expected in ((0.5, "1 of 3 runs, 0 failed, best reward 0.5"), (None, "2 of 3 runs, 1 failed, best")):
        note(tmp_path, value)
        deadline = time.monotonic() + 10
        while expected not in stream.getvalue() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert expected in stream.getvalue()
    watching.close()
    watching.close()
    assert stream.getvalue().count("\n") == 1
    assert not (tmp_path / ENDED).exists()


def test_on_a_terminal_a_sweep_has_one_line_of_progress(at_terminal) -> None:
    outcome = at_terminal(*QUICK, "seed=0,1,2", "reward.scale=1,nan")
    assert last_line(outcome.err).startswith("6 of 6 runs, 3 failed, best reward ")
    assert f"best reward {max(means(outcome.folder)):.3g}, " in last_line(outcome.err)
    assert "step/s" not in outcome.err
    assert not (outcome.folder / ENDED).exists()


def test_settings_of_the_sweeper_count_unless_they_are_typed(at_terminal, tmp_path: Path) -> None:
    (tmp_path / "mine" / "experiment").mkdir(parents=True)
    overlay = {"hydra": {"sweeper": {"params": {"seed": "range(9)", "reward.scale": "1,2"}}}}
    text = "# @package _global_\n" + OmegaConf.to_yaml(overlay)
    (tmp_path / "mine" / "experiment" / "many.yaml").write_text(text)
    outcome = at_terminal(*QUICK, f"--config-dir={tmp_path / 'mine'}", "experiment=many", "seed=0,1")
    assert last_line(outcome.err).startswith("4 of 4 runs, 0 failed")


def test_elsewhere_a_sweep_is_silent(fmtt) -> None:
    outcome = fmtt(*QUICK, "seed=0,1")
    assert (outcome.status, outcome.err) == (0, "")
    assert not (outcome.folder / ENDED).exists()


def test_a_sweep_that_cannot_be_composed_leaves_no_line_behind(at_terminal) -> None:
    outcome = at_terminal(*QUICK, "seed=0,1", "reward.colour=1,2")
    assert outcome.status == 2
    assert not (outcome.folder / ENDED).exists()
    assert outcome.complaint.splitlines()[-1].startswith("fmtt: Could not override 'reward.colour'")


def test_failed_runs_are_listed_at_the_end_with_their_reasons(fmtt) -> None:
    outcome = fmtt(*QUICK, "reward.scale=1,nan", "sampler.steps=2,0")
    title, *listed = outcome.complaint.splitlines()[-4:]
    assert title == "fmtt: runs of this sweep that failed: 3"
    places = [
        "1 sampler.steps=2 reward.scale=nan",
        "2 sampler.steps=0 reward.scale=1",
        "3 sampler.steps=0 reward.scale=nan",
    ]
    for text, place, value in zip(listed, places, ("nan", "sampler.steps=0", "nan"), strict=True):
        assert text.startswith(f"fmtt: {place} failed: ") and value in text.split("failed: ")[1]
    assert len(means(outcome.folder)) == 1
    assert outcome.status == 2


@pytest.mark.slow
def test_runs_in_other_processes_are_counted_and_the_good_ones_finish(at_terminal) -> None:
    outcome = at_terminal(*QUICK, "launcher=joblib", "seed=0,1", "reward.scale=1,nan")
    assert last_line(outcome.err).startswith("4 of 4 runs, 2 failed, best reward ")
    assert outcome.err.splitlines()[-3] == "fmtt: runs of this sweep that failed: 2"
    assert len(means(outcome.folder)) == 2
    assert outcome.status == 2


def statuses(folder: Path) -> list[str]:
    """What the table at the end says of every run."""
    with (folder / "summary.csv").open(newline="") as file:
        return [row["status"] for row in csv.DictReader(file)]


def test_a_sweep_that_is_interrupted_is_summarised(fmtt, monkeypatch: pytest.MonkeyPatch) -> None:
    step = Trajectory.step

    def interrupted(self: Trajectory, state: object) -> object:
        if self.noise.seed == 1:
            raise KeyboardInterrupt
        return step(self, state)

    monkeypatch.setattr(Trajectory, "step", interrupted)
    outcome = fmtt(*QUICK, "seed=0,1,2")
    assert outcome.status == 1
    assert "checkpoint in" in outcome.complaint and "resume=true" in outcome.complaint
    assert statuses(outcome.folder) == ["done", "unfinished"]
    assert (outcome.folder / "compare.html").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["joblib", "local"])
def test_a_run_that_kills_its_process_does_not_keep_others_from_running(tmp_path: Path, launcher: str) -> None:
    """Now, where the processes are not ours, or at the resume."""
    (tmp_path / "my" / "reward").mkdir(parents=True)
    (tmp_path / "my" / "reward" / "killing.yaml").write_text("_target_: tests.odd_rewards.Killing\nseed: ${seed}\n")
    words = [f"--config-dir={tmp_path / 'my'}", *QUICK, *SMALL, "reward=killing", "seed=0,1,2,3", "logger=none"]
    words += [f"launcher={launcher}", "trust=[tests]", f"hydra.sweep.dir={tmp_path / 'sweep'}"]

    def run(*more: str) -> subprocess.CompletedProcess[str]:
        command, environment = [sys.executable, "-m", "fmtt", *words, *more], {**os.environ, "PYTHONPATH": str(ROOT)}
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)

    done = run()
    if launcher == "local":
        assert done.returncode == -signal.SIGKILL
        done = run("resume=true")
    else:
        assert "fmtt: a process of the sweep was killed" in done.stderr
    assert done.returncode == 1, done.stderr
    assert statuses(tmp_path / "sweep") == [
        "done", "failed: its process was killed by signal 9, perhaps for lack of memory", "done", "done",
    ]  # fmt: skip


@pytest.mark.slow
def test_a_job_that_is_lost_is_a_run_that_failed(tmp_path: Path) -> None:
    (tmp_path / "my" / "reward").mkdir(parents=True)
    (tmp_path / "my" / "reward" / "killing.yaml").write_text("_target_: tests.odd_rewards.Killing\nseed: ${seed}\n")
    words = [f"--config-dir={tmp_path / 'my'}", *QUICK, *SMALL, "reward=killing", "seed=0,1,2", "logger=none"]
    words += ["launcher=slurm_local", "trust=[tests]", f"hydra.sweep.dir={tmp_path / 'sweep'}"]
    command, environment = [sys.executable, "-m", "fmtt", *words], {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
    found = statuses(tmp_path / "sweep")
    assert found[0] == found[2] == "done" and found[1].startswith("failed: the job was lost"), done.stderr
    assert (tmp_path / "sweep" / "compare.html").is_file()


@pytest.mark.slow
def test_runs_that_are_done_get_no_job(tmp_path: Path) -> None:
    """Jobs are counted by what submitit leaves; a run with another configuration in the folder is started."""
    sweep, environment = tmp_path / "sweep", {**os.environ, "PYTHONPATH": str(ROOT)}

    def jobs_of(*words: str) -> tuple[set[str], str]:
        before = set(sweep.glob(".submitit/*/*_submitted.pkl"))
        own = ["launcher=slurm_local", "logger=none", f"hydra.sweep.dir={sweep}", *words]
        command = [sys.executable, "-m", "fmtt", *QUICK, *SMALL, *own]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        return set(sweep.glob(".submitit/*/*_submitted.pkl")) - before, done.stderr

    assert len(jobs_of("seed=0,1,2")[0]) == 3
    (sweep / "1" / "manifest.json").unlink()
    (sweep / "2" / "history.csv").write_text("damaged")
    values = [read_metrics(sweep / str(number)) for number in range(3)]
    jobs, said = jobs_of("seed=0,1,2,3", "resume=true")
    assert len(jobs) == 3 and "fmtt: note: 1 of 4 runs are done already" in said
    assert statuses(sweep) == ["done"] * 4
    key = "reward/weighted_mean"
    assert [read_metrics(sweep / str(number))[key] for number in range(3)] == [value[key] for value in values]
    jobs, said = jobs_of("seed=0,1,2,3", "resume=true")
    assert not jobs and "4 of 4 runs" in said and (sweep / "compare.html").is_file()
    assert len(jobs_of("seed=0,1,2,3", "resume=true", "sampler.steps=3")[0]) == 4
    assert len(jobs_of("seed=0,1,2,3", "resume=false", "sampler.steps=3")[0]) == 4


def test_without_slurm_its_launcher_is_refused_in_one_line(fmtt, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    refused = fmtt(*QUICK, "seed=0,1", "launcher=slurm")
    assert refused.status == 2 and refused.complaint.startswith("fmtt: launcher=slurm: this machine has no SLURM")


def test_what_cannot_be_read_does_not_break_the_summary(fmtt) -> None:
    outcome = fmtt(*QUICK, "seed=0,1,2,3")
    (outcome.folder / "1" / "error.txt").write_text("")
    (outcome.folder / "2" / "metrics.json").write_text('{"reward/mean":')
    (outcome.folder / "3" / ".hydra" / "overrides.yaml").write_bytes(b"\xff\xfe: [")
    again = fmtt(*QUICK, "seed=4", "hydra.sweep.subdir=4")
    found = statuses(again.folder)
    assert found[0] == "done" and found[1] == "failed: for a reason that cannot be read" and found[4] == "done"
    assert found[2].startswith("broken: ") and found[3].startswith("broken: ")


def test_a_sweep_that_cannot_be_summarised_keeps_its_status(fmtt, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(folder: Path) -> list[str]:
        raise OSError("no space left")

    monkeypatch.setattr("fmtt.report.summarise", full)
    assert fmtt(*QUICK, "seed=0").complaint == "fmtt: the sweep cannot be summarised: no space left"
    assert fmtt(*QUICK, "sampler.steps=0", folder="wrong").status == 2


def test_optuna_finds_the_best_of_its_runs_though_some_fail(at_terminal) -> None:
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper")  # make test has it
    words = ("mode.gradient.strength=choice(4.0,nan)", "hydra.sweeper.n_trials=6", "population.groups=2")
    outcome = at_terminal("-m", "experiment=tune", *words, small=False)
    results = OmegaConf.load(outcome.folder / "optimization_results.yaml")
    assert results.best_value == pytest.approx(max(means(outcome.folder)))
    assert results.best_params["mode.gradient.strength"] == 4
    assert 0 < len(means(outcome.folder)) < 6
    assert last_line(outcome.err).startswith("6 of 6 runs")
    assert (outcome.folder / "multirun.yaml").is_file()


def test_a_plugin_that_is_missing_is_named(fmtt, monkeypatch: pytest.MonkeyPatch) -> None:
    Plugins.instance()  # which registers what is installed
    monkeypatch.delitem(ConfigStore.instance().repo["hydra"]["sweeper"], "optuna.yaml", raising=False)
    outcome = fmtt("-m", "experiment=tune", small=False)
    assert outcome.status == 2
    assert outcome.complaint.endswith("not installed: pip install hydra-optuna-sweeper")


@pytest.mark.parametrize(("launcher", "most"), [("local", 1), pytest.param("joblib", 4, marks=pytest.mark.slow)])
def test_a_sweep_may_stop_at_the_first_failure(fmtt, launcher: str, most: int) -> None:
    """With joblib two runs go on at the same time."""
    outcome = fmtt(*QUICK, "seed=range(8)", "reward.scale=nan", "fail_fast=true", f"launcher={launcher}")
    assert outcome.status == 1
    assert outcome.complaint.splitlines()[-1] == (
        "fmtt: interrupted: fail_fast=true, and a run has failed; resume=true goes on"
    )
    found = [status.split(":")[0] for status in statuses(outcome.folder)]
    assert "failed" in found and len(found) <= most
