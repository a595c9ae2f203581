"""Runs with a judge behind HTTP: the same result as in the process, and a checkpoint if the judge is down."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from fmtt.methods.trajectory import Trajectory
from fmtt.rewards import Rotation, Symmetry
from fmtt.rewards.server import Server
from fmtt.rewards.wire import keys_of
from fmtt.run.serve_reward import RewardServer, server_at
from tests.command import Outcome
from tests.rewards.judges import CPU, PICTURES, listening, slope, stop

ROOT = Path(__file__).resolve().parents[2]
STEERED = (
    "mode=fk_steering",
    "population.groups=1",
    "population.particles=4",
    "model=mnist",
    "reward.scale=40",
    "logger=csv",
    "report=false",
)


@pytest.fixture
def judged(fmtt: Callable[..., Outcome]) -> Callable[..., Outcome]:
    def run(address: str, *words: str, folder: str = "run") -> Outcome:
        words = (*words, f"reward.address={address}", "reward.retries=1", "reward.backoff=0.01")
        return fmtt("reward=server", *STEERED, *words, folder=folder)

    return run


def arrays(outcome: Outcome) -> dict[str, Tensor]:
    assert outcome.status == 0, outcome.err
    return load_file(outcome.folder / "samples.safetensors")


def test_a_run_through_a_server_is_the_run_in_the_process(
    fmtt: Callable[..., Outcome], judged: Callable[..., Outcome]
) -> None:
    expected = arrays(fmtt("reward=symmetry", *STEERED, folder="process"))
    with listening(RewardServer("127.0.0.1", 0, Symmetry(), CPU)) as address:
        found = arrays(judged(address, "reward.batch=3"))
    assert expected.keys() == found.keys()
    for name in expected:
        assert torch.equal(expected[name], found[name]), name


def dies_in_a_step(monkeypatch: pytest.MonkeyPatch, die: Callable[[], None]) -> None:
    """In the third step: after the network was called, and before the reward is."""
    unbroken, steps = Trajectory.step, []

    def step(self: Trajectory, state: object) -> object:
        steps.append(state)
        if len(steps) == 3:
            die()
        return unbroken(self, state)

    monkeypatch.setattr(Trajectory, "step", step)


def dies_at_the_end(monkeypatch: pytest.MonkeyPatch, die: Callable[[], None]) -> None:
    """After the last step, before the base model is judged."""
    from fmtt.run import execute

    unbroken = execute.base_result
    monkeypatch.setattr(execute, "base_result", lambda run: (die(), unbroken(run))[1])


def noting(asked: set[str]) -> Callable[[Tensor], Tensor]:
    """The reward, which notes the keys of the samples that it is asked about."""

    def reward(x: Tensor) -> Tensor:
        asked.update(keys_of(x, None))
        return Symmetry()(x)

    return reward


@pytest.mark.parametrize("dies", [dies_in_a_step, dies_at_the_end])
def test_a_judge_that_dies_leaves_a_checkpoint_and_one_line(
    judged: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch, dies: Callable[..., None]
) -> None:
    in_one_go, in_two = set[str](), set[str]()
    with listening(RewardServer("127.0.0.1", 0, noting(in_one_go), CPU)) as address:
        whole = judged(address, folder="whole")
    port = int(address.rpartition(":")[2])
    with listening(server := RewardServer("127.0.0.1", port, noting(in_two), CPU)), monkeypatch.context() as patch:
        dies(patch, lambda: stop(server))
        broken = judged(address, folder="broken")
    assert broken.status == 1
    assert len(complaints(broken)) == 1
    assert f"reward.address={address}: " in complaints(broken)[0] and "resume=true" in complaints(broken)[0]
    assert len(list(broken.folder.glob("checkpoint-*.pt"))) == 1
    assert in_two and in_two <= in_one_go
    with listening(RewardServer("127.0.0.1", port, noting(in_two), CPU)):
        resumed = judged(address, "resume=true", folder="broken")
    assert resumed.status == 0, resumed.err
    assert in_two == in_one_go, "a judge knows the samples of a run that is resumed"
    for name in ("samples.safetensors", "history.csv"):
        assert (whole.folder / name).read_bytes() == (resumed.folder / name).read_bytes(), name
    assert {name: value for name, value in whole.metrics.items() if "time" not in name and "memory" not in name} == {
        name: value for name, value in resumed.metrics.items() if "time" not in name and "memory" not in name
    }
    assert not list(resumed.folder.glob("checkpoint-*"))


def complaints(outcome: Outcome) -> list[str]:
    """The lines on stderr, without the record that the server of the test keeps there."""
    return [line for line in outcome.complaint.splitlines() if '"POST / HTTP' not in line]


def test_a_judge_that_is_down_from_the_start_is_one_line(judged: Callable[..., Outcome], tmp_path: Path) -> None:
    with listening(RewardServer("127.0.0.1", 0, Symmetry(), CPU)) as address:
        pass
    done = judged(address)
    assert done.status == 1
    assert done.complaint.startswith(f"fmtt: reward.address={address}: ")
    assert len(done.complaint.splitlines()) == 1
    assert not list(tmp_path.rglob("checkpoint-*"))


def test_a_sweep_says_of_which_runs_the_judge_was_down(judged: Callable[..., Outcome]) -> None:
    with listening(RewardServer("127.0.0.1", 0, Symmetry(), CPU)) as address:
        pass
    done = judged(address, "-m", "seed=0,1")
    assert done.status == 1
    for number in ("0", "1"):
        assert f"reward.address={address}: " in (done.folder / number / "error.txt").read_text()


def test_a_judge_gives_no_gradient(judged: Callable[..., Outcome]) -> None:
    with listening(RewardServer("127.0.0.1", 0, Symmetry(), CPU)) as address:
        done = judged(address, "mode=guidance")
    assert done.status == 2
    assert complaints(done) == ["fmtt: the reward is not differentiable, and this mode needs its gradient"]


@pytest.mark.slow
def test_the_script_serves_what_it_is_told_to(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "scripts" / "serve_reward.py"), "reward=rotation", "port=0", "device=cpu"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True) as server:
        try:
            name, _, address = server.stdout.readline().strip().partition("=")
            assert name == "reward.address"
            assert torch.equal(Server(address)(PICTURES), Rotation()(PICTURES))
        finally:
            server.terminate()
    assert list(tmp_path.iterdir()) == []


def test_a_place_where_nothing_can_listen_is_refused() -> None:
    with pytest.raises(ValueError, match="port=70000: must be at most 65535"):
        server_at("127.0.0.1", 70000, slope, CPU)
    with server_at("127.0.0.1", 0, slope, CPU) as taken:
        port = taken.server_port
        with pytest.raises(ValueError, match=f"host=127.0.0.1, port={port}: Address already in use"):
            server_at("127.0.0.1", port, slope, CPU)


def test_a_scale_of_the_served_reward_is_refused(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "scripts" / "serve_reward.py"), "reward=rotation", "reward.scale=5", "port=0"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 2 and "reward.scale: has no effect here; set it in the run" in done.stderr
