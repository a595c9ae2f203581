"""A folder belongs to one run at a time, and a run that is done can be told from one that is not."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from fmtt.flow.meter import MeteredReward
from fmtt.methods.trajectory import Trajectory
from fmtt.models.checkpoints import BUNDLED, load_network, save_network
from fmtt.models.mlp import TwoTimeMLP
from fmtt.run.lock import locked
from fmtt.run.new_folder import new_folder
from tests.cli.test_resume import interrupted
from tests.command import SMALL, Outcome

HOLD = """
import sys, time
from pathlib import Path
from fmtt.run.lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""
PLAIN = ("baseline=false", "report=false")


def bytes_of(folder: Path) -> dict[str, bytes]:
    """What a run has computed; times differ from run to run."""
    names = ("samples.safetensors", "history.csv", "returned.csv", "config.yaml")
    metrics = json.loads((folder / "metrics.json").read_text())
    timeless = {name: value for name, value in metrics.items() if not name.startswith(("time/", "memory/"))}
    return {name: (folder / name).read_bytes() for name in names} | {"metrics": json.dumps(timeless).encode()}


def test_a_folder_in_use_is_refused_with_who_holds_it(fmtt: Callable[..., Outcome], tmp_path: Path) -> None:
    first = fmtt(*PLAIN)
    before, hydra = bytes_of(first.folder), (first.folder / ".hydra" / "overrides.yaml").read_bytes()
    with locked(first.folder):
        done = fmtt("reward.scale=2", *PLAIN)
    assert not (first.folder / "error.txt").exists()
    assert (first.folder / ".hydra" / "overrides.yaml").read_bytes() == hydra
    assert done.status == 2
    assert f"run: process {os.getpid()} on " in done.complaint and "works in this folder" in done.complaint
    assert len(done.complaint.splitlines()) == 1 and bytes_of(first.folder) == before
    assert fmtt("reward.scale=2", *PLAIN).status == 0


def test_the_folder_of_a_sweep_in_use_is_refused_too(fmtt: Callable[..., Outcome]) -> None:
    """A second command would write over runs of the first."""
    first = fmtt("-m", "reward.scale=1,2", *PLAIN)
    before = bytes_of(first.folder / "1")
    with locked(first.folder):
        done = fmtt("-m", "reward.scale=3,4", *PLAIN)
    assert done.status == 2 and f"process {os.getpid()} on " in done.complaint
    assert len(done.complaint.splitlines()) == 1 and bytes_of(first.folder / "1") == before
    assert fmtt("-m", "reward.scale=1,2", *PLAIN).status == 0


def test_a_process_that_is_killed_keeps_no_folder(fmtt: Callable[..., Outcome], tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path / "run")], stdout=subprocess.PIPE, text=True)
    with holder:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        assert f"process {holder.pid} on " in fmtt(*PLAIN).complaint
        holder.send_signal(signal.SIGKILL)
    assert fmtt(*PLAIN).status == 0


def test_commands_of_one_second_get_folders_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = str(tmp_path / "2026-01-01" / "10-20-30")
    (tmp_path / "2026-01-01" / "10-20-30").mkdir(parents=True)
    assert new_folder(wanted) == f"{wanted}-2" == new_folder(wanted), "asked again, it is the same"
    monkeypatch.setattr("fmtt.run.new_folder._made", {})
    assert new_folder(wanted) == f"{wanted}-3"


def test_runs_of_a_sweep_do_not_share_a_folder(fmtt: Callable[..., Outcome]) -> None:
    words = ("-m", "reward.scale=1,2", "hydra.sweep.subdir=same", *PLAIN)
    for more in ((), ("resume=true",)):
        refused = fmtt(*words, *more)
        assert refused.status == 2
        assert "hydra.sweep.subdir=same: two runs of the sweep would have this folder" in refused.complaint
        assert not (refused.folder / "same").exists()


def test_runs_of_two_batches_do_not_share_a_folder(fmtt: Callable[..., Outcome]) -> None:
    """They are looked at batch by batch."""
    words = ("-m", "reward.scale=1,2", "hydra.sweep.subdir=same", "hydra.sweeper.max_batch_size=1", *PLAIN)
    done = fmtt(*words)
    assert done.status == 2
    assert "hydra.sweep.subdir=same: another run of this sweep has this folder" in done.err
    assert (done.folder / "same" / "samples.safetensors").is_file()
    assert not (done.folder / "same" / "error.txt").exists(), "the run that has the folder did not fail"
    assert (done.folder / "refused-1" / "error.txt").is_file(), "runs of other processes are counted by these files"
    again = fmtt("-m", "reward.scale=1", "hydra.sweep.subdir=same", "resume=true", *PLAIN)
    assert "already done" in again.out


@pytest.mark.parametrize("name", ["report.html", "samples.png", "curves.png"])
@pytest.mark.parametrize("how", ["missing", "damaged"])
def test_what_is_drawn_is_made_again(fmtt: Callable[..., Outcome], name: str, how: str) -> None:
    done = fmtt()
    expected, before = (done.folder / name).read_bytes(), bytes_of(done.folder)
    (done.folder / name).unlink() if how == "missing" else (done.folder / name).write_bytes(b"scratch")
    again = fmtt("resume=true")
    assert again.status == 0 and "already done; its pictures and its page were made again" in again.out
    if name != "report.html":  # which shows the command, too
        assert (done.folder / name).read_bytes() == expected
    assert (done.folder / name).stat().st_size > 1000 and bytes_of(done.folder) == before
    assert "made again" not in fmtt("resume=true").out


def test_a_page_that_was_not_wanted_is_made_when_it_is(fmtt: Callable[..., Outcome]) -> None:
    assert not (fmtt("report=false").folder / "report.html").exists()
    again = fmtt("resume=true")
    assert "were made again" in again.out and (again.folder / "report.html").is_file()


@pytest.mark.parametrize("name", ["samples.safetensors", "metrics.json", "history.csv", "manifest.json"])
@pytest.mark.parametrize("how", ["missing", "damaged", "cut"])
def test_what_is_computed_is_computed_again(fmtt: Callable[..., Outcome], name: str, how: str) -> None:
    done = fmtt(*PLAIN)
    before, file = bytes_of(done.folder), done.folder / name
    content = bytearray(file.read_bytes())
    if how == "missing":
        file.unlink()
    elif how == "cut":
        file.write_bytes(content[: len(content) // 2])
    else:
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
    again = fmtt("resume=true", *PLAIN)
    assert again.status == 0 and "already done" not in again.out
    same, wanted = bytes_of(done.folder), before
    assert {key: value for key, value in same.items() if key != "config.yaml"} == {
        key: value
        for key, value in wanted.items()
        if key != "config.yaml"  # which says resume: true now
    }


def no_ink(*_: object) -> None:
    raise RuntimeError("no ink")


@pytest.mark.parametrize("part", ["base_result", "verdicts_by_prompt", "results.metrics_by_prompt", "write_artefacts"])
def test_a_failure_after_the_last_step_costs_nothing_that_was_computed(
    fmtt: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    """Samples are there, and resuming takes no step of the run again."""
    whole = fmtt(folder="whole")
    with monkeypatch.context() as patch, pytest.raises(RuntimeError, match="no ink"):
        patch.setattr(f"fmtt.run.execute.{part}", no_ink)
        fmtt(folder="broken")
    folder = whole.folder.parent / "broken"
    samples = load_file(folder / "samples.safetensors")
    assert samples["samples"].equal(load_file(whole.folder / "samples.safetensors")["samples"])
    assert (folder / "history.csv").is_file() and len(list(folder.glob("checkpoint-*.pt"))) == 1
    steps, step = list[int](), Trajectory.step
    with monkeypatch.context() as patch:
        patch.setattr(Trajectory, "step", lambda loop, state: (steps.append(state.step), step(loop, state))[1])
        resumed = fmtt("resume=true", folder="broken")
    assert resumed.status == 0, resumed.err
    assert steps == [0, 1, 2, 3], "those of the base model"
    assert bytes_of(resumed.folder)["metrics"] == bytes_of(whole.folder)["metrics"]
    assert not list(resumed.folder.glob("checkpoint-*"))


def test_the_film_of_a_resumed_run_is_whole(fmtt: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch) -> None:
    whole = fmtt("sampler.steps=6", folder="whole")
    with interrupted(monkeypatch, Trajectory, step=4):
        fmtt("sampler.steps=6", folder="broken")
    resumed = fmtt("sampler.steps=6", "resume=true", folder="broken")
    films = [(run.folder / "film.safetensors").read_bytes() for run in (whole, resumed)]
    assert films[0] == films[1]


def test_counts_of_a_resumed_run_are_exact(fmtt: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch) -> None:
    whole = fmtt(*PLAIN, folder="whole")
    for step in (1, 2, 4):
        with interrupted(monkeypatch, Trajectory, step=step):
            fmtt(*PLAIN, folder=str(step))
        resumed = fmtt(*PLAIN, "resume=true", folder=str(step))
        counts = [{k: v for k, v in run.metrics.items() if k.startswith("nfe/")} for run in (whole, resumed)]
        assert counts[0] == counts[1]


@pytest.mark.parametrize("mode", ["importance", "search", "noise_smc", "multi_best_of_n"])
def test_counts_are_exact_after_a_stop_in_the_middle_of_a_step(
    fmtt: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    """Ctrl-C while the reward is called: what the unfinished step had counted is not counted twice."""
    words, call, seen = (*PLAIN, f"mode={mode}", "population.chunk=4"), MeteredReward.__call__, list[int]()
    stop = 0

    def stopping(self: MeteredReward, x: object) -> object:
        seen.append(len(seen) + 1)
        if len(seen) == stop:
            raise KeyboardInterrupt
        return call(self, x)

    monkeypatch.setattr(MeteredReward, "__call__", stopping)
    whole, calls = fmtt(*words, folder="whole"), len(seen)
    for stop in range(calls // 3, calls, calls // 4):
        seen.clear()
        assert fmtt(*words, folder=str(stop)).status == 1
        resumed = fmtt(*words, "resume=true", folder=str(stop))
        counts = [{k: v for k, v in run.metrics.items() if k.startswith("nfe/")} for run in (whole, resumed)]
        assert counts[0] == counts[1]


def test_any_flipped_bit_of_a_checkpoint_is_seen(fmtt: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch) -> None:
    with interrupted(monkeypatch, Trajectory, step=3):
        broken = fmtt(*PLAIN)
    (path,) = broken.folder.glob("checkpoint-*.pt")
    content = path.read_bytes()
    for place in range(0, len(content), len(content) // 12):
        damaged = bytearray(content)
        damaged[place] ^= 1 << (place % 8)
        path.write_bytes(damaged)
        done = fmtt(*PLAIN, "resume=true")
        assert done.status == 2
        assert "is damaged; delete it, or run without resume=true" in done.complaint
    path.write_bytes(content)
    assert fmtt(*PLAIN, "resume=true").status == 0


def test_checkpoints_are_written_by_time(fmtt: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[float] = []
    monkeypatch.setattr("fmtt.run.checkpoint.save", lambda path, reached: written.append(reached.state.step))
    fmtt(*PLAIN, "checkpoint.seconds=1e-9")
    assert written == [1, 2, 3, 4, 4], "after each step, and at the end"
    written.clear()
    fmtt(*PLAIN, "checkpoint.seconds=0")
    assert written == [4]
    done = fmtt(*PLAIN, "checkpoint.seconds=-1")
    assert (done.status, done.complaint) == (2, "fmtt: checkpoint.seconds=-1: must not be negative")


@pytest.mark.slow
def test_resuming_finds_the_last_command_in_the_default_folder(tmp_path: Path) -> None:
    def run(*words: str) -> str:
        command = [sys.executable, "-m", "fmtt", *SMALL, "logger=none", *PLAIN, *words]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    first, _, sweep = run("seed=1"), run("seed=2"), run("-m", "seed=3,4")
    time.sleep(1)
    again = run("seed=1", "resume=true")
    assert again.strip().removesuffix(": already done").endswith(first.strip().splitlines()[-1])
    assert run("-m", "seed=3,4", "resume=true").count("already done") == 2
    assert len(list((tmp_path / "outputs" / "multirun").glob("*/*"))) == 1 and "compare.html" in sweep
    assert len(list((tmp_path / "outputs").glob("2*/*"))) == 2


def test_weights_that_changed_since_the_checkpoint_are_refused(
    fmtt: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    words = ("model=ring_distilled", f"model.checkpoint={tmp_path / 'own.safetensors'}", *PLAIN)
    shutil.copy(BUNDLED / "ring.safetensors", tmp_path / "own.safetensors")
    with interrupted(monkeypatch, Trajectory, step=3):
        fmtt(*words)
    net = load_network("ring", TwoTimeMLP)
    with torch.no_grad():
        next(net.parameters()).mul_(1.01)
    header = safe_open(str(BUNDLED / "ring.safetensors"), "pt").metadata()
    save_network(net, json.loads(header["arguments"]), tmp_path / "own.safetensors", {})
    done = fmtt(*words, "resume=true")
    assert done.status == 2
    assert done.complaint.startswith(
        f"fmtt: the weights in {tmp_path / 'own.safetensors'} are others than at the checkp"
    )
