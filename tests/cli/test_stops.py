"""What ends a run too early leaves the last good checkpoint: signals, a second one while it is written, a full disk."""

from __future__ import annotations

import errno
import itertools
import os
import pkgutil
import signal
from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch

from fmtt.methods.trajectory import Trajectory
from fmtt.run import checkpoint
from tests.cli.test_folders import PLAIN, bytes_of
from tests.command import Outcome


def computed(done: Outcome) -> dict[str, bytes]:
    """The bytes of its results; its configuration says whether it was resumed."""
    return {name: content for name, content in bytes_of(done.folder).items() if name != "config.yaml"}


def signalled(monkeypatch: pytest.MonkeyPatch, stop: signal.Signals) -> None:
    """The third step raises the signal in its process."""
    step, seen = Trajectory.step, []

    def stopping(self: Trajectory, state: object) -> object:
        seen.append(state)
        if len(seen) == 3:
            signal.raise_signal(stop)
        return step(self, state)

    monkeypatch.setattr(Trajectory, "step", stopping)


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_each_signal_leaves_a_checkpoint(
    fmtt: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch, stop: signal.Signals
) -> None:
    whole = fmtt(*PLAIN, folder="whole")
    before = signal.getsignal(stop)
    with monkeypatch.context() as patch:
        signalled(patch, stop)
        broken = fmtt(*PLAIN, folder="broken")
    assert signal.getsignal(stop) == before, "the handlers of the process are as they were"
    assert broken.status == 1 and "the same command with resume=true goes on from it" in broken.complaint
    assert computed(fmtt(*PLAIN, "resume=true", folder="broken")) == computed(whole)


@pytest.mark.parametrize("place", ["Film.see", "results.history_row", "Mark", "Tracker.log"])
@pytest.mark.parametrize("early", [True, False], ids=["before", "after"])
def test_a_stop_between_two_statements_of_a_step_loses_and_doubles_nothing(
    fmtt: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch, place: str, early: bool
) -> None:
    """A row of the history was lost where Ctrl-C came after the step and before its row: ``make kill`` found it."""
    words = ("baseline=false", "logger=csv", "sampler.steps=6")
    whole, seen = fmtt(*words, folder="whole"), []
    owner, _, name = f"fmtt.run.execute.{place}".rpartition(".")
    call = getattr(pkgutil.resolve_name(owner), name)

    def stopped(*given: object) -> object:
        seen.append(given)
        if len(seen) == 3 and early:
            raise KeyboardInterrupt
        made = call(*given)
        if len(seen) == 3:
            raise KeyboardInterrupt
        return made

    with monkeypatch.context() as patch:
        patch.setattr(f"{owner}.{name}", stopped)
        assert fmtt(*words, folder="broken").status == 1
    resumed = fmtt(*words, "resume=true", folder="broken")
    assert computed(resumed) == computed(whole)
    films = [(run.folder / "film.safetensors").read_bytes() for run in (whole, resumed)]
    assert films[0] == films[1]


def test_a_second_ctrl_c_does_not_cut_off_the_checkpoint_of_the_first(
    fmtt: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, write = fmtt(*PLAIN, folder="whole"), checkpoint.write_whole

    def disturbed(path: object, content: object) -> None:
        signal.raise_signal(signal.SIGINT)
        write(path, content)

    with monkeypatch.context() as patch:
        signalled(patch, signal.SIGINT)
        patch.setattr(checkpoint, "write_whole", disturbed)
        broken = fmtt(*PLAIN, folder="broken")
    assert broken.status == 1 and len(list(broken.folder.glob("checkpoint-*.pt"))) == 1
    assert computed(fmtt(*PLAIN, "resume=true", folder="broken")) == computed(whole)


def test_a_full_disk_keeps_the_checkpoint_before(fmtt: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch) -> None:
    """The second checkpoint does not fit, and neither does that of the end."""
    whole, write, written = fmtt(*PLAIN, folder="whole"), checkpoint.write_whole, []

    def full(path: object, content: object) -> None:
        written.append(path)
        if len(written) > 1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "write_whole", full)
        broken = fmtt(*PLAIN, "checkpoint.every=1", folder="broken")
    assert len(written) == 3 and broken.status == 1
    assert "no checkpoint could be written: [Errno 28] No space left on device" in broken.err
    assert "Traceback" not in broken.err
    assert computed(fmtt(*PLAIN, "checkpoint.every=1", "resume=true", folder="broken")) == computed(whole)


def test_a_lack_of_memory_leaves_a_checkpoint(fmtt: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch) -> None:
    """Also that for a single sample, which no smaller batch can mend."""
    whole, step, seen = fmtt(*PLAIN, folder="whole"), Trajectory.step, []

    def full(self: Trajectory, state: object) -> object:
        seen.append(state)
        if len(seen) == 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return step(self, state)

    with monkeypatch.context() as patch:
        patch.setattr(Trajectory, "step", full)
        broken = fmtt(*PLAIN, folder="broken")
    assert broken.status == 1 and "CUDA out of memory; checkpoint in" in broken.complaint
    assert computed(fmtt(*PLAIN, "resume=true", folder="broken")) == computed(whole)


def test_against_a_kill_there_is_a_checkpoint_each_minute(
    fmtt: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a setting: the clock of this run goes on by 61 seconds each time that it is looked at."""
    clock, written = itertools.count(0, 61), []
    monkeypatch.setattr(checkpoint, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    monkeypatch.setattr("fmtt.run.checkpoint.save", lambda path, reached: written.append(reached.state.step))
    assert fmtt(*PLAIN).status == 0
    assert written == [1, 2, 3, 4, 4]
    clock, written[:] = itertools.count(0, 20), []
    assert fmtt(*PLAIN).status == 0
    assert written == [3, 4], "after three looks, each 20 seconds after the one before, and at the end"
