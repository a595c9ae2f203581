"""What ends a run too early leaves the last good checkpoint: signals, a second one while it is written, a full disk."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable

import pytest

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
