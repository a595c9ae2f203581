"""Runs inside of a job of submitit: what the signals of SLURM do."""

import math
import signal

import pytest
from torch import Tensor

from fmtt.methods.trajectory import Trajectory
from fmtt.rewards import Symmetry


def test_the_signal_of_slurm_interrupts_a_run_even_inside_of_a_reward(fmtt, monkeypatch: pytest.MonkeyPatch) -> None:
    """submitit would end the process by an exit, which looks like a fault of the reward."""
    handler = pytest.importorskip("submitit.core.job_environment").SignalHandler
    monkeypatch.setattr(handler, "_exit", handler._exit)  # put back after the test
    monkeypatch.setenv("SUBMITIT_EXECUTOR", "local")
    call, calls, last = Symmetry.__call__, [0], [math.inf]

    def counted(reward: Symmetry, x: Tensor) -> Tensor:
        calls[0] += 1
        if calls[0] == last[0]:
            handler._exit(handler.__new__(handler))
        return call(reward, x)

    monkeypatch.setattr(Symmetry, "__call__", counted)
    words = ("model=mnist", "reward=symmetry", "lookahead=flowmap1", "baseline=false", "sampler.steps=4")
    whole = fmtt(*words, folder="whole")
    assert whole.status == 0
    last[0], calls[0] = calls[0] - 2, 0
    with pytest.raises(SystemExit):
        fmtt(*words, folder="stopped")
    assert len(list((whole.folder.parent / "stopped").glob("checkpoint-*.pt"))) == 1
    assert fmtt(*words, "resume=true", folder="stopped").status == 0


def test_a_job_that_is_warned_leaves_a_checkpoint_and_goes_on(fmtt, monkeypatch: pytest.MonkeyPatch) -> None:
    """SLURM sends SIGTERM some seconds before it kills a job; one that ends by itself would not be started again."""
    pytest.importorskip("submitit")
    monkeypatch.setenv("SUBMITIT_EXECUTOR", "local")
    step, saved, before = Trajectory.step, [], signal.getsignal(signal.SIGTERM)

    def terminated(self: Trajectory, state: object) -> object:
        if state.step == 2:
            signal.raise_signal(signal.SIGTERM)
        return step(self, state)

    monkeypatch.setattr(Trajectory, "step", terminated)
    monkeypatch.setattr("fmtt.run.checkpoint.save", lambda path, reached: saved.append(reached.state.step))
    assert fmtt("baseline=false", "report=false").status == 0
    assert saved == [3, 4], "after the step of the signal, and at the end"
    assert signal.getsignal(signal.SIGTERM) in (before, signal.default_int_handler)
